// SPDX-License-Identifier: Apache-2.0
// aot bench: times of the model's parts, as rows that bench/against_pytorch.py compares with PyTorch's.
#include <filesystem>
#include <optional>

#include <ATen/ops/randint.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/ops/mssa_kernel.h"
#include "aot/ops/own_kernels.h"
#include "aot/train/metrics.h"
#include "aot/train/trainer.h"
#include "apps/bench.h"
#include "apps/bench_model.h"
#include "apps/bench_support.h"
#include "apps/command.h"

namespace aot {
namespace {

void describe_step(Fields& fields, BenchFlags& flags) {
  describe(fields, flags);
  fields.add("dtype", flags.dtype, "number format").choices({"float32", "bfloat16"});
  fields.add("mask", flags.mask, "who reads whom").choices({"causal", "none"});
  fields.add("recompute", flags.recompute, "compute activations again instead of keeping them");
  fields.add("compare", flags.compare, "also the same step with LibTorch's operators, in turns");
  fields.add("log", flags.log, "listen to what every layer lets out, and log each step in this folder").metavar("FOLDER");
}

/// What a run has besides its steps: somebody who hears every layer (and only counts), and a row of metrics for each step.
class Listening {
 public:
  explicit Listening(const std::string& folder) {
    std::filesystem::create_directories(folder);
    log_.emplace(folder, LogLengths{});
    for (const char* place : {"projections", "queries", "keys", "values", "heads", "update", "residual"})
      taps_.listen(str("layers.*.", place), [this](const std::string&, const at::Tensor& value) {
        heard_ += value.numel();
        return value;
      });
  }
  [[nodiscard]] const Taps& taps() const { return taps_; }
  void log(const StepResult& result, int64_t tokens) {
    ++rows_;
    log_->step({.step = rows_,
                .loss = result.loss,
                .lr = result.lr,
                .gradient_norm = result.gradient_norm,
                .units = rows_ * tokens,
                .memory_bytes = peak_resident_bytes()});
  }
  [[nodiscard]] int64_t heard() const { return heard_; }

 private:
  std::optional<MetricsLog> log_;
  Taps taps_;
  int64_t heard_ = 0, rows_ = 0;
};

void run_step(const BenchFlags& flags, const GeneralOptions& general) {
  const int64_t base = peak_resident_bytes();
  const LanguageOptions& o = flags.model;
  const bool causal = flags.mask == "causal";
  const MssaCounts before = mssa_counts();
  const LanguageModel model(o, 0);
  TrainOptions options;
  options.batch = flags.batch;
  options.accumulate = 1;
  options.dtype = flags.dtype;
  options.clip = 1;
  options.recompute = flags.recompute;
  Trainer trainer(model.parameters(), options, 0, 1 << 20);
  const at::Tensor ids = at::randint(o.vocab_size, {flags.batch, o.context}, make_generator(1), at::kLong);
  const at::Tensor targets = at::randint(o.vocab_size, {flags.batch, o.context}, make_generator(2), at::kLong);
  std::optional<Listening> listening;
  if (!flags.log.empty()) listening.emplace(flags.log);
  const auto step = [&] {
    const StepResult result = trainer.step([&](const Pass& pass) {
      return language_loss(model, ids, targets, pass, {.causal = causal, .taps = listening ? &listening->taps() : nullptr});
    });
    if (listening) listening->log(result, ids.numel());
  };
  const Repeats times = timed(step, flags.seconds, 2, 3);

  const int64_t parameters = counted_parameters(model);
  const double tokens = static_cast<double>(flags.batch) * static_cast<double>(o.context);
  // Model FLOP (docs/bench.md): 6 per parameter and token, and per layer and token 6 T D for causal attention, 12 T D without mask.
  const double attention = (causal ? 6.0 : 12.0) * static_cast<double>(o.layers * o.width * o.context);
  const double flop = tokens * (6.0 * static_cast<double>(parameters) + attention);
  Json json = bench_row("training step", flags, times, base);  // memory is read before the ceiling is measured
  const MssaCounts after = mssa_counts();
  json["fallbacks"] = fallback_share(before, after);
  json["error"] = step_error(flags);
  const double gflops = flop / times.median_ms / 1e6, peak = measured_ceilings().multiply_add_gflops;
  json["recompute"] = flags.recompute;
  if (listening) json["heard"] = listening->heard();
  json["parameters"] = parameters;
  json["tokens_per_s"] = tokens / times.median_ms * 1e3;
  json["gflops"] = gflops;
  json["ceiling_gflops"] = peak;
  json["fraction"] = gflops / peak;
  if (flags.compare) {
    const Turns turns = take_turns({step,
                                    [&] {
                                      const LibTorchOnly only;
                                      step();
                                    }},
                                   2 * flags.seconds);
    json["compared"] = turns.json();
    json["compared"].update({{"ms", turns.ways[0].median_ms},
                             {"libtorch_ms", turns.ways[1].median_ms},
                             {"libtorch_ratio", turns.ways[1].median_ms / turns.ways[0].median_ms}});
  }
  print_bench_row(json, general);
}

}  // namespace

void add_bench(Subcommand& command) {
  command.app.require_subcommand(1);
  add_bench<BenchFlags>(command.app, command.general,
                        {"step", "one training step: forward, backward, clipping, AdamW",
                         "  aot bench step --width 384 --layers 6 --heads 6 --tokens 256 --batch 8 --json\n"},
                        describe_step, run_step);
  add_bench<BenchFlags>(
      command.app, command.general,
      {"decode", "one token of each sequence with a full context", "  aot bench decode --tokens 1024 --vocab 50304 --compare --json\n"},
      describe_decode, run_decode);
  add_bench<BenchFlags>(command.app, command.general,
                        {"adamw", "clipping by the global norm, AdamW and zeroing of a model's gradients",
                         "  aot bench adamw --width 1024 --layers 24 --vocab 50304 --json\n"},
                        describe, run_adamw);
  add_bench_attention(command.app, command.general);
  add_bench_linear(command.app, command.general);
  add_bench_head(command.app, command.general);
  add_bench_mixers(command.app, command.general);
  add_bench_vision(command.app, command.general);
  add_bench_images(command.app, command.general);
}

}  // namespace aot
