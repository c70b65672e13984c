// SPDX-License-Identifier: Apache-2.0
// aot bench: times of the model's parts, as rows that bench/against_pytorch.py compares with PyTorch's.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>

#include <ATen/ops/empty.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/generate/decoder.h"
#include "aot/generate/sampling.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/models/language.h"
#include "aot/train/trainer.h"
#include "apps/bench.h"
#include "apps/bench_support.h"
#include "apps/command.h"

namespace aot {
namespace {

struct BenchFlags {
  LanguageOptions model = {
      .width = 384, .layers = 6, .heads = 6, .context = 256, .vocab_size = 1000, .position = Position::learned, .rotary = false};
  int64_t batch = 8;
  std::string dtype = "float32";
  std::string mask = "causal";
  double seconds = 3;
};

void describe(Fields& fields, BenchFlags& flags) {
  fields.heading("Bench");
  fields.add("mixer", flags.model.mixer, "token mixer");
  fields.add("width", flags.model.width, "width D").min(1).max(1 << 16);
  fields.add("layers", flags.model.layers, "layers L").min(1).max(4096);
  fields.add("heads", flags.model.heads, "heads K").min(1).max(4096);
  fields.add("head-dim", flags.model.head_dim, "dimension P of a head; 0: width / heads").min(0).max(1 << 16);
  fields.add("tokens", flags.model.context, "context T").min(2).max(1 << 20);
  fields.add("vocab", flags.model.vocab_size, "vocabulary V").min(2).max(1 << 24);
  fields.add("rotary", flags.model.rotary, "rotary positions");
  fields.add("batch", flags.batch, "sequences B").min(1).max(1 << 16);
  fields.add("dtype", flags.dtype, "number format").choices({"float32", "bfloat16", "int8"});
  fields.add("mask", flags.mask, "of a training step: who reads whom").choices({"causal", "none"});
  fields.add("seconds", flags.seconds, "time to measure for").above(0).max(3600);
}

struct Repeats {
  double median_ms = 0, min_ms = 0, p99_ms = 0;
  int64_t repeats = 0;
};

/// Runs `once` a few times unmeasured, then for `seconds` and at least `least` times.
Repeats timed(const std::function<void()>& once, double seconds, int64_t warm, size_t least) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); };
  for (int64_t i = 0; i < warm; ++i) once();
  std::vector<double> ms;
  const auto start = Clock::now();
  while (ms.size() < least || since(start) < 1e3 * seconds) {
    const auto begin = Clock::now();
    once();
    ms.push_back(since(begin));
  }
  std::sort(ms.begin(), ms.end());
  const size_t n = ms.size();
  return {(ms[(n - 1) / 2] + ms[n / 2]) / 2, ms.front(), ms[static_cast<size_t>(0.99 * static_cast<double>(n - 1))],
          static_cast<int64_t>(n)};
}

double megabytes(int64_t bytes) {
  return std::round(static_cast<double>(bytes) / (1 << 20));
}

/// The part that all rows share. `base` is the peak of resident memory before the model was made.
Json row(const char* what, const BenchFlags& flags, const Repeats& times, int64_t base) {
  const LanguageOptions& o = flags.model;
  return {{"peer", "aot"},
          {"what", what},
          {"ms", times.median_ms},
          {"min_ms", times.min_ms},
          {"p99_ms", times.p99_ms},
          {"repeats", times.repeats},
          {"threads", thread_count()},
          {"torch", TORCH_VERSION},
          {"dtype", flags.dtype},
          {"mixer", o.mixer},
          {"shape",
           {{"width", o.width},
            {"layers", o.layers},
            {"heads", o.heads},
            {"tokens", o.context},
            {"vocab", o.vocab_size},
            {"batch", flags.batch},
            {"mask", flags.mask}}},
          {"rss_mb", megabytes(peak_resident_bytes())},
          {"base_rss_mb", megabytes(base)},
          {"cpu", cpu_name()}};
}

void say(const Json& json, const GeneralOptions& general) {
  if (general.json) {
    print(dump_json(json) + "\n");
    return;
  }
  print(fmt::format("{}: {:.3f} ms (best {:.3f}, {} repeats, {} threads), {:.0f} tokens/s, {:.0f} MB above the library's {:.0f}\n",
                    json["what"].get<std::string>(), json["ms"].get<double>(), json["min_ms"].get<double>(), json["repeats"].get<int64_t>(),
                    json["threads"].get<int64_t>(), json["tokens_per_s"].get<double>(),
                    json["rss_mb"].get<double>() - json["base_rss_mb"].get<double>(), json["base_rss_mb"].get<double>()));
}

std::vector<int32_t> random_ids(int64_t vocab, int64_t count) {
  const at::Tensor ids = at::randint(vocab, {count}, make_generator(1), at::kInt);
  return {ids.const_data_ptr<int32_t>(), ids.const_data_ptr<int32_t>() + count};
}

/// One token per sequence at a fixed context, as peer.py does: each is the T-th, follows T - 1 cached ones and is chosen greedily.
void run_decode(const BenchFlags& flags, const GeneralOptions& general) {
  const c10::InferenceMode guard;
  const int64_t base = peak_resident_bytes();
  const LanguageModel model(flags.model, 0);
  const int64_t held = flags.model.context - 1;
  Decoder decoder(model, {.batch = flags.batch, .format = parse_number_format(flags.dtype)});
  decoder.read(random_ids(flags.model.vocab_size, flags.batch * held), held);
  std::vector<int32_t> tokens(static_cast<size_t>(flags.batch));
  const auto once = [&] {
    decoder.step(tokens);
    for (int64_t row = 0; row < flags.batch; ++row)
      tokens[static_cast<size_t>(row)] = choose_token(decoder.logits(row), {}, {.greedy = true}, 0);
    decoder.truncate(held);
  };
  const Repeats times = timed(once, flags.seconds, 8, 256);
  Json json = row("decode", flags, times, base);
  json["context"] = flags.model.context;
  json["state_bytes"] = decoder.bytes().state;
  json["read_bytes"] = decoder.bytes().read;
  json["tokens_per_s"] = 1e3 * static_cast<double>(flags.batch) / times.median_ms;
  say(json, general);
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
  Trainer trainer(model, options, 0, 1 << 20);
  const at::Tensor ids = at::randint(o.vocab_size, {flags.batch, o.context}, make_generator(1), at::kLong);
  const at::Tensor targets = at::randint(o.vocab_size, {flags.batch, o.context}, make_generator(2), at::kLong);
  const Repeats times = timed([&] { trainer.step(ids, targets, {.causal = causal}); }, flags.seconds, 2, 3);

  int64_t parameters = 0;  // without the position table, as in peer.py
  for (const Parameter& parameter : model.parameters())
    if (parameter.name != "position") parameters += parameter.value.numel();
  const double tokens = static_cast<double>(flags.batch) * static_cast<double>(o.context);
  // Model FLOP (docs/bench.md): 6 per parameter and token, and per layer and token 6 T D for causal attention, 12 T D without mask.
  const double attention = (causal ? 6.0 : 12.0) * static_cast<double>(o.layers * o.width * o.context);
  const double flop = tokens * (6.0 * static_cast<double>(parameters) + attention);
  Json json = row("training step", flags, times, base);  // memory is read before the ceiling is measured
  const double gflops = flop / times.median_ms / 1e6, peak = measured_ceilings().multiply_add_gflops;
  json["parameters"] = parameters;
  json["tokens_per_s"] = tokens / times.median_ms * 1e3;
  json["gflops"] = gflops;
  json["ceiling_gflops"] = peak;
  json["fraction"] = gflops / peak;
  say(json, general);
}

}  // namespace

void add_bench(Subcommand& command) {
  command.app.require_subcommand(1);
  struct State {
    BenchFlags flags;
    Fields fields;
  };
  const auto add = [&](const char* name, const char* summary, const char* examples, int64_t batch,
                       void (*run)(const BenchFlags&, const GeneralOptions&)) {
    const auto state = std::make_shared<State>();
    state->flags.batch = batch;
    describe(state->fields, state->flags);
    CLI::App* app = command.app.add_subcommand(name, summary);
    app->fallthrough();
    set_examples(*app, examples);
    state->fields.add_flags(*app);
    app->callback([state, run, &general = command.general] {
      resolve(state->fields);
      state->flags.model = resolved(state->flags.model);
      run(state->flags, general);
    });
  };
  add("step", "one training step: forward, backward, clipping, AdamW",
      "  aot bench step --width 384 --layers 6 --heads 6 --tokens 256 --batch 8 --json\n", 8, run_step);
  add("decode", "one token of each sequence with a full context", "  aot bench decode --tokens 1024 --vocab 50304 --json\n", 1, run_decode);
  add_bench_attention(command.app, command.general);
}

}  // namespace aot
