// SPDX-License-Identifier: Apache-2.0
#include "aot/models/vision.h"

#include <cmath>
#include <map>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/models/positions.h"
#include "aot/models/presets.h"
#include "aot/models/summary.h"
#include "aot/ops/ista.h"
#include "tests/support/files.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

VisionOptions small(const std::string& mixer = "mssa") {
  return {.mixer = mixer, .width = 12, .layers = 2, .heads = 3, .image_size = 6, .channels = 2, .classes = 5, .patch = 2};
}

at::Tensor pictures(int64_t batch, uint64_t seed = 1, at::ScalarType dtype = at::kFloat) {
  return test::normal({batch, 2, 6, 6}, seed, dtype);
}

/// Every kind of model that options can assemble, by a name for messages.
std::vector<std::pair<std::string, VisionOptions>> assemblies() {
  std::vector<std::pair<std::string, VisionOptions>> all;
  const auto add = [&all](const std::string& name, const std::string& mixer, auto change) {
    VisionOptions options = small(mixer);
    change(options);
    all.emplace_back(name, options);
  };
  add("mssa", "mssa", [](VisionOptions&) {});
  add("mssa tied, gated, sincos, mean", "mssa", [](VisionOptions& o) {
    o.output = Output::tied, o.gate = Gate::silu, o.position = PicturePosition::sincos, o.pooling = Pooling::mean;
  });
  add("mssa rotary, no norm, scalar steps", "mssa", [](VisionOptions& o) {
    o.position = PicturePosition::rotary, o.norm = NormKind::none, o.step_size = StepSize::scalar, o.step_init = 0.5;
  });
  add("mhsa with biases, rotary", "mhsa", [](VisionOptions& o) { o.bias = true, o.position = PicturePosition::rotary; });
  add("vit", "mhsa", [](VisionOptions& o) { o.block = BlockKind::mlp, o.bias = true; });
  add("crate", "mssa", [](VisionOptions& o) { o.block = BlockKind::ista, o.bias = true, o.stem = Stem::normed; });
  add("tost", "tssa", [](VisionOptions& o) { o.block = BlockKind::mlp, o.step_size = StepSize::channel; });
  return all;
}

/// The model in float64, with weights large enough that everything matters.
VisionModel in_double(const VisionOptions& options) {
  VisionModel model(options, 3);
  model.to(at::kCPU, at::kDouble);
  const c10::NoGradGuard no_grad;
  for (const Parameter& parameter : model.parameters()) at::Tensor(parameter.value).add_(test::normal(parameter.value.sizes(), 4), 0.2);
  return model;
}

VisionOptions preset_options(const std::string& name) {
  VisionOptions options;
  Fields fields;
  describe(fields, options);
  apply_preset(fields, name, "vision");
  return options;
}

TEST(Vision, EveryPresetHasTheCountOfTheFormula) {
  // Digits: 16 numbers a patch, 49 of them and a class token, 10 classes; norms with biases. Outside blocks 80 D + 10.
  const auto digits = [](int64_t width, int64_t layers, int64_t matrices, int64_t vectors, int64_t more = 0) {
    return 80 * width + 10 + layers * (matrices * width * width + vectors * width + more);
  };
  const std::map<std::string, int64_t> expected = {{"aot-mhsa-v", 14968168},
                                                   {"aot-mssa-v", 22021608},
                                                   {"vit-s", 22050664},
                                                   {"vit-t", 5717416},
                                                   {"crate-t", 6090856},
                                                   {"crate-s", 13116328},
                                                   {"crate-b", 22796008},
                                                   {"crate-l", 77641192},
                                                   {"aot-mssa-v-digits", digits(128, 6, 2, 2)},
                                                   {"aot-mssa-gated-v-digits", digits(64, 16, 3, 2)},
                                                   {"aot-mhsa-v-digits", digits(64, 12, 4, 2)},
                                                   {"vit-digits", digits(64, 4, 12, 13)},                     // with biases
                                                   {"crate-digits", digits(64, 16, 3, 5) + 2 * 16 + 2 * 64},  // norms of the stem
                                                   {"tost-digits", digits(64, 5, 10, 6, /*temperatures of heads=*/4)}};  // and two steps
  for (const Preset& preset : presets()) {
    if (preset_task(preset.name) != "vision") continue;
    ASSERT_TRUE(expected.contains(preset.name)) << preset.name;
    EXPECT_EQ(summarize(VisionModel::without_storage(preset_options(preset.name)), 1).parameters, expected.at(preset.name)) << preset.name;
  }
}

TEST(Vision, ModelsOfDigitsHaveEqualBlocks) {
  for (const char* name :
       {"aot-mssa-v-digits", "aot-mssa-gated-v-digits", "aot-mhsa-v-digits", "vit-digits", "crate-digits", "tost-digits"}) {
    int64_t blocks = 0;
    for (const ParameterGroup& group : summarize(VisionModel::without_storage(preset_options(name)), 1).groups)
      if (group.name == "mixers" || group.name == "mlps" || group.name == "dictionaries") blocks += group.parameters;
    EXPECT_NEAR(static_cast<double>(blocks), 0.2e6, 0.01e6) << name;
  }
}

TEST(Vision, APresetOfAnotherTaskIsRefused) {
  VisionOptions options;
  Fields fields;
  describe(fields, options);
  expect_error(2, "preset gpt2-tiny is of task language", [&] { apply_preset(fields, "gpt2-tiny", "vision"); });
  EXPECT_EQ(preset_task("vit-digits"), "vision");
}

TEST(Vision, LogitsHaveTheirShapeAndDoNotDependOnTheRestOfTheBatch) {
  for (const auto& [name, options] : assemblies()) {
    const VisionModel model(options, 2);
    const c10::NoGradGuard no_grad;
    const at::Tensor images = pictures(3), logits = model.logits(images);
    EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{3, 5})) << name;
    EXPECT_TRUE(logits.isfinite().all().item<bool>()) << name;
    EXPECT_LT(test::max_difference(model.logits(images.narrow(0, 1, 1)), logits.narrow(0, 1, 1)), 1e-6) << name;
    EXPECT_EQ(model.tokens(images).size(1), options.tokens()) << name;
  }
}

TEST(Vision, EveryGradientIsThatOfFiniteDifferences) {
  for (auto [name, options] : assemblies()) {
    options.layers = 1;
    options.width = options.mixer == "tssa" ? 6 : 12;
    const VisionModel model = in_double(options);
    const at::Tensor images = pictures(2, 5, at::kDouble).requires_grad_();
    std::vector<at::Tensor> inputs{images};
    for (const Parameter& parameter : model.parameters()) inputs.push_back(parameter.value);
    EXPECT_LT(test::gradient_error([&] { return model.logits(images); }, inputs), 1e-6) << name;
  }
}

TEST(Vision, WithoutPositionsPatchesMayChangePlaces) {
  const at::Tensor order = at::randperm(9, make_generator(1), at::kLong);
  for (auto [name, options] : assemblies()) {
    options.position = PicturePosition::none;
    const VisionModel model = in_double(options);
    const c10::NoGradGuard no_grad;
    const at::Tensor images = pictures(2, 5, at::kDouble);
    const at::Tensor patches = patches_of(images, 2).index_select(1, order);  // (B, 9, 8)
    const at::Tensor moved = patches.view({2, 3, 3, 2, 2, 2}).permute({0, 3, 1, 4, 2, 5}).reshape(images.sizes());
    const int64_t leading = options.tokens() - 9;
    const at::Tensor before = model.tokens(images), after = model.tokens(moved);
    EXPECT_LT(test::max_difference(after.narrow(1, leading, 9), before.narrow(1, leading, 9).index_select(1, order)), 1e-10) << name;
    EXPECT_LT(test::max_difference(model.logits(moved), model.logits(images)), 1e-10) << name;
    options.position = PicturePosition::sincos;
    EXPECT_GT(test::max_difference(in_double(options).logits(moved), in_double(options).logits(images)), 1e-6) << name;
  }
}

TEST(Vision, PatchesThatAreNotRealChangeNothing) {
  at::Tensor real = at::ones({2, 9}, at::kBool);
  real[1].narrow(0, 6, 3).fill_(false);  // the lowest row of patches of the second picture
  for (const auto& [name, options] : assemblies()) {
    const VisionModel model = in_double(options);
    const c10::NoGradGuard no_grad;
    const at::Tensor images = pictures(2, 5, at::kDouble);
    at::Tensor other = images.clone();
    other[1].narrow(1, 4, 2).normal_(0, 9, make_generator(2));
    EXPECT_LT(test::max_difference(model.logits(images, {.patch_mask = real}), model.logits(other, {.patch_mask = real})), 1e-10) << name;
    EXPECT_GT(test::max_difference(model.logits(images), model.logits(other)), 1e-6) << name;
  }
}

TEST(Vision, AMaskSaysWhoReadsWhom) {
  // The class token reads the first patch alone, patches read nobody: only the first patch matters to the class token.
  at::Tensor mask = at::zeros({10, 10}, at::kBool);
  mask[0][0].fill_(true);
  mask[0][1].fill_(true);
  for (const char* mixer : {"mssa", "mhsa"}) {
    const VisionModel model = in_double(small(mixer));
    const c10::NoGradGuard no_grad;
    const at::Tensor images = pictures(1, 5, at::kDouble);
    at::Tensor other = images.clone(), first = images.clone();
    other.narrow(2, 2, 4).mul_(5);
    first.narrow(2, 0, 2).narrow(3, 0, 2).mul_(5);
    EXPECT_LT(test::max_difference(model.logits(images, {.mask = mask}), model.logits(other, {.mask = mask})), 1e-12);
    EXPECT_GT(test::max_difference(model.logits(images, {.mask = mask}), model.logits(first, {.mask = mask})), 1e-6);
  }
  EXPECT_THROW(static_cast<void>(VisionModel(small("tssa"), 1).logits(pictures(1), {.mask = mask})), c10::ValueError);
}

TEST(Vision, ACrateBlockIsAttentionWithASkipAndShrinkageWithout) {
  VisionOptions options = small();
  options.block = BlockKind::ista;
  options.layers = 1;
  const VisionModel model = in_double(options);
  at::Tensor before, update;
  Taps taps;
  taps.listen("embedding", [&](const std::string&, const at::Tensor& value) { return before = value; });
  taps.listen("layers.0.update", [&](const std::string&, const at::Tensor& value) { return update = value; });
  const at::Tensor after = model.tokens(pictures(2, 5, at::kDouble), {.taps = &taps});
  std::map<std::string, at::Tensor> p;
  for (const Parameter& parameter : model.parameters()) p[parameter.name] = parameter.value;
  const at::Tensor y = layer_norm(before + update, p.at("layers.0.ista_norm.weight"), p.at("layers.0.ista_norm.bias"));
  EXPECT_LT(test::max_difference(after, ista_step(y, p.at("layers.0.ista.dictionary"))), 1e-12);
  EXPECT_GE(after.min().item<double>(), 0);
}

TEST(Vision, PatchesGoRowByRowWithChannelsOutermost) {
  const at::Tensor image = at::arange(2 * 4 * 6, at::kFloat).view({1, 2, 4, 6}), patches = patches_of(image, 2);
  EXPECT_EQ(patches.sizes(), (std::vector<int64_t>{1, 6, 8}));
  EXPECT_TRUE(patches[0][4].equal(image[0].narrow(1, 2, 2).narrow(2, 2, 2).flatten()));
}

TEST(Vision, SincosPositionsOfAPictureAreTheRowsThenTheColumns) {
  const at::Tensor table = sincos_positions({.height = 2, .width = 3, .leading = 1}, 8);
  const at::Tensor line = sincos_positions(3, 4);
  EXPECT_EQ(table[0].abs().max().item<float>(), 0);
  EXPECT_TRUE(table[1 + 1 * 3 + 2].equal(at::cat({line[1], line[2]})));
}

TEST(Vision, LabelSmoothingMixesInTheUniformDistribution) {
  const at::Tensor logits = test::normal({3, 5}, 1), labels = at::arange(3, at::kLong), log_p = logits.log_softmax(-1);
  double wanted = 0;
  for (int64_t i = 0; i < 3; ++i) wanted -= (0.9 * log_p[i][i].item<double>() + 0.1 * log_p[i].mean().item<double>()) / 3;
  EXPECT_NEAR(label_loss(logits, labels, 0.1).item<double>(), wanted, 1e-12);
}

TEST(Vision, ACheckpointGivesTheModelBackAndIsNoLanguageModel) {
  const TestFolder folder;
  for (const auto& [name, options] : assemblies()) {
    const VisionModel model(options, 7);
    const std::string path = folder.path("checkpoint-" + std::to_string(std::hash<std::string>()(name)));
    {
      AtomicFolder saved(folder.path(), path.substr(folder.path().size() + 1));
      save_model(saved, model);
      saved.commit({});
    }
    EXPECT_EQ(read_model_task(path), "vision");
    const auto loaded = load_vision_model(path);
    EXPECT_EQ(describe_as_toml(loaded->options()), describe_as_toml(model.options())) << name;
    const c10::NoGradGuard no_grad;
    EXPECT_TRUE(loaded->logits(pictures(2)).equal(model.logits(pictures(2)))) << name;
    expect_error(3, "holds a model for vision, need one for language", [&] { load_model(path); });
  }
}

TEST(Vision, OptionsThatDoNotFitTogetherAreRefusedWithBothNumbers) {
  const auto refused = [](const char* words, auto change) {
    VisionOptions options = small();
    change(options);
    expect_error(2, words, [&] { static_cast<void>(resolved(options)); });
  };
  refused("patches of 4 do not divide pictures of 6 pixels", [](VisionOptions& o) { o.patch = 4; });
  refused("width 13 is not divisible by 3 heads", [](VisionOptions& o) { o.width = 13; });
  refused("4 divides (found 6)", [](VisionOptions& o) { o.head_dim = 6, o.position = PicturePosition::rotary; });
  refused("not known", [](VisionOptions& o) { o.classes = 0; });
  EXPECT_THROW(static_cast<void>(VisionModel(small(), 1).logits(test::normal({1, 2, 8, 6}, 1, at::kFloat))), c10::ValueError);
}

}  // namespace
}  // namespace aot
