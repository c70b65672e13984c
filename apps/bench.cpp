// SPDX-License-Identifier: Apache-2.0
// aot bench: times of the model's parts, as rows that bench/against_pytorch.py compares with PyTorch's.
#include <ATen/ops/randint.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/io/error.h"
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
}

void run_step(const BenchFlags& flags, const GeneralOptions& general) {
  const int64_t base = peak_resident_bytes();
  const LanguageOptions& o = flags.model;
  const bool causal = flags.mask == "causal";
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
  const Repeats times =
      timed([&] { trainer.step([&](const Pass& pass) { return language_loss(model, ids, targets, pass, {.causal = causal}); }); },
            flags.seconds, 2, 3);

  int64_t parameters = 0;  // without the position table, as in peer.py
  for (const Parameter& parameter : model.parameters())
    if (parameter.name != "position") parameters += parameter.value.numel();
  const double tokens = static_cast<double>(flags.batch) * static_cast<double>(o.context);
  // Model FLOP (docs/bench.md): 6 per parameter and token, and per layer and token 6 T D for causal attention, 12 T D without mask.
  const double attention = (causal ? 6.0 : 12.0) * static_cast<double>(o.layers * o.width * o.context);
  const double flop = tokens * (6.0 * static_cast<double>(parameters) + attention);
  Json json = bench_row("training step", flags, times, base);  // memory is read before the ceiling is measured
  const double gflops = flop / times.median_ms / 1e6, peak = measured_ceilings().multiply_add_gflops;
  json["recompute"] = flags.recompute;
  json["parameters"] = parameters;
  json["tokens_per_s"] = tokens / times.median_ms * 1e3;
  json["gflops"] = gflops;
  json["ceiling_gflops"] = peak;
  json["fraction"] = gflops / peak;
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
  add_bench_attention(command.app, command.general);
  add_bench_linear(command.app, command.general);
  add_bench_head(command.app, command.general);
  add_bench_images(command.app, command.general);
}

}  // namespace aot
