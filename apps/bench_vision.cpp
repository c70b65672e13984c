// SPDX-License-Identifier: Apache-2.0
// aot bench vision-step: one training step of a vision model on random pictures.
#include <memory>

#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/models/presets.h"
#include "aot/models/summary.h"
#include "aot/models/vision.h"
#include "aot/train/trainer.h"
#include "apps/bench.h"
#include "apps/bench_model.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

struct VisionFlags {
  VisionOptions model;
  std::string preset = "aot-mssa-v-digits";
  int64_t batch = 128;
  double seconds = 3;
};

void describe(Fields& fields, VisionFlags& flags) {
  fields.heading("Bench");
  fields.add("preset", flags.preset, "named settings that flags change").metavar("NAME");
  fields.add("batch", flags.batch, "pictures B").min(1).max(1 << 16);
  fields.add("seconds", flags.seconds, "time to measure for").above(0).max(3600);
  describe(fields, flags.model);
}

/// Random pictures and labels, no loader: the step alone.
void run(const VisionFlags& flags, const GeneralOptions& general) {
  const int64_t base = peak_resident_bytes();
  const VisionOptions o = resolved(flags.model);
  const VisionModel model(o, 0);
  TrainOptions options;
  options.batch = flags.batch;
  options.clip = 1;
  Trainer trainer(model.parameters(), options, 0, 1 << 20);
  const at::Tensor images = at::randn({flags.batch, o.channels, o.image_size, o.image_size}, make_generator(1), at::kFloat);
  const at::Tensor labels = at::randint(o.classes, {flags.batch}, make_generator(2), at::kLong);
  const auto loss = [&](const Pass& pass) {
    return label_loss(model.logits(images, {.training = true, .dropout_seed = pass.dropout_seed}), labels);
  };
  const Repeats times = timed([&] { trainer.step(loss); }, flags.seconds, 2, 3);

  const double pictures = static_cast<double>(flags.batch), tokens = static_cast<double>(o.tokens()) * pictures;
  BenchFlags shape;
  shape.model.mixer = o.mixer;
  shape.model.width = o.width;
  shape.model.layers = o.layers;
  shape.model.heads = o.heads;
  shape.model.context = o.tokens();
  shape.model.vocab_size = o.classes;
  shape.batch = flags.batch;
  shape.mask = "none";
  Json json = bench_row("vision training step", shape, times, base);  // memory is read before the ceiling is measured
  const double gflops = summarize(model, flags.batch).flop_per_token * tokens / times.median_ms / 1e6;
  const double peak = measured_ceilings().multiply_add_gflops;
  json["preset"] = flags.preset;
  json["images_per_s"] = 1e3 * pictures / times.median_ms;
  json["tokens_per_s"] = 1e3 * tokens / times.median_ms;
  json["gflops"] = gflops;
  json["ceiling_gflops"] = peak;
  json["fraction"] = gflops / peak;
  print_bench_row(json, general);
}

}  // namespace

void add_bench_vision(CLI::App& bench, GeneralOptions& general) {
  struct State {
    VisionFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->fields, state->flags);
  CLI::App* app = bench.add_subcommand("vision-step", "one training step of a vision model on random pictures");
  app->fallthrough();
  set_examples(*app,
               "  aot bench vision-step --preset aot-mssa-v-digits --batch 128 --json\n  aot bench vision-step --preset vit-s --batch 8\n");
  state->fields.add_flags(*app);
  app->callback([state, &general] {
    const std::string given = state->fields.early_text("preset");
    apply_preset(state->fields, given.empty() ? state->flags.preset : given, "vision");
    resolve(state->fields);
    run(state->flags, general);
  });
}

}  // namespace aot
