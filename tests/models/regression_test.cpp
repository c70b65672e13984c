// SPDX-License-Identifier: Apache-2.0
#include "aot/models/regression.h"

#include <cmath>
#include <map>

#include <ATen/ops/arange.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/models/presets.h"
#include "aot/models/summary.h"
#include "tests/support/files.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

RegressionOptions small(const std::string& mixer = "mssa") {
  return {.mixer = mixer, .width = 12, .layers = 2, .heads = 3, .dims = 3, .max_points = 5};
}

/// Every kind of model that options can assemble, by a name for messages.
std::vector<std::pair<std::string, RegressionOptions>> assemblies() {
  std::vector<std::pair<std::string, RegressionOptions>> all;
  const auto add = [&all](const std::string& name, const std::string& mixer, auto change) {
    RegressionOptions options = small(mixer);
    change(options);
    all.emplace_back(name, options);
  };
  add("mssa", "mssa", [](RegressionOptions&) {});
  add("mssa tied, gated, sincos", "mssa",
      [](RegressionOptions& o) { o.output = Output::tied, o.gate = Gate::silu, o.position = Position::sincos; });
  add("mssa rotary, rms, scalar steps", "mssa", [](RegressionOptions& o) {
    o.position = Position::none, o.rotary = true, o.norm = NormKind::rms, o.step_size = StepSize::scalar, o.step_init = 0.5;
  });
  add("mhsa", "mhsa", [](RegressionOptions&) {});
  add("gpt2", "mhsa", [](RegressionOptions& o) { o.block = BlockKind::mlp, o.bias = true; });
  add("tssa", "tssa", [](RegressionOptions& o) { o.block = BlockKind::mlp; });
  return all;
}

/// The model in float64, with weights large enough that everything matters.
RegressionModel in_double(const RegressionOptions& options) {
  RegressionModel model(options, 3);
  model.to(at::kCPU, at::kDouble);
  const c10::NoGradGuard no_grad;
  for (const Parameter& parameter : model.parameters()) at::Tensor(parameter.value).add_(test::normal(parameter.value.sizes(), 4), 0.2);
  return model;
}

at::Tensor some_x(int64_t points = 4) {
  return test::normal({2, points, 3}, 5);
}
at::Tensor some_y(int64_t points = 4) {
  return test::normal({2, points}, 6);
}

RegressionOptions preset_options(const std::string& name) {
  RegressionOptions options;
  Fields fields;
  describe(fields, options);
  apply_preset(fields, name, "icl");
  return options;
}

ModelSummary summary_of(const std::string& name) {
  const RegressionModel model = RegressionModel::without_storage(preset_options(name));
  return summarize(model, 1, model.options().max_points);
}

int64_t in_groups(const ModelSummary& summary, const std::string& names) {
  int64_t count = 0;
  for (const ParameterGroup& group : summary.groups)
    if (names.find(group.name) != std::string::npos) count += group.parameters;
  return count;
}

TEST(Regression, EveryPresetHasTheCountOfTheFormula) {
  // Positions, first map (d + 1) D, last map D + 1; final norm: two of D with GPT-2's biases, one without.
  const auto outside_of = [](int64_t width, int64_t positions, int64_t dims) { return (positions + dims + 1 + 1) * width + 1; };
  const auto blocks_of = [](int64_t width, int64_t layers, int64_t matrices) {
    return layers * (matrices * width * width + width) + width;
  };
  const auto gpt2_of = [](int64_t width, int64_t layers) { return layers * (12 * width * width + 13 * width) + 2 * width; };
  const int64_t width = 256, outside = outside_of(width, 202, 20), small_outside = outside_of(64, 22, 5),
                rotary_outside = outside_of(64, 0, 5);
  const std::map<std::string, int64_t> expected = {{"icl-gpt2", outside + gpt2_of(width, 12)},
                                                   {"icl-mhsa", outside + blocks_of(width, 36, 4)},
                                                   {"icl-mssa", outside + blocks_of(width, 72, 2)},
                                                   {"icl-mhsa-12", outside + blocks_of(width, 12, 4)},
                                                   {"icl-mssa-12", outside + blocks_of(width, 12, 2)},
                                                   {"icl-gpt2-small", small_outside + gpt2_of(64, 3)},
                                                   {"icl-mhsa-small", small_outside + blocks_of(64, 9, 4)},
                                                   {"icl-mssa-small", small_outside + blocks_of(64, 18, 2)},
                                                   {"icl-mssa-rotary-small", rotary_outside + blocks_of(64, 18, 2)},
                                                   {"icl-mssa-gated-small", rotary_outside + blocks_of(64, 12, 3)}};
  for (const Preset& preset : presets()) {
    if (preset_task(preset.name) != "icl") continue;
    ASSERT_TRUE(expected.contains(preset.name)) << preset.name;
    EXPECT_EQ(summary_of(preset.name).parameters, expected.at(preset.name)) << preset.name;
  }
  EXPECT_EQ(summary_of("icl-gpt2").parameters - outside - 2 * width, 9'477'120) << "the published model's blocks, without its unused table";
  for (const char* name : {"icl-mhsa", "icl-mssa"}) EXPECT_EQ(in_groups(summary_of(name), "mixers"), 12 * 12 * width * width) << name;
}

TEST(Regression, SmallModelsHaveEqualMatrices) {
  int64_t seen = 0;
  for (const Preset& preset : presets()) {
    if (preset.name.find("icl-") != 0 || preset.name.find("small") == std::string::npos) continue;
    ++seen;
    const RegressionOptions options = preset_options(preset.name);
    EXPECT_EQ(options.dims, 5);
    EXPECT_EQ(options.max_points, 11);
    EXPECT_NEAR(static_cast<double>(in_groups(summary_of(preset.name), "mixers mlps")), 36 * 64 * 64, 0.015 * 36 * 64 * 64) << preset.name;
  }
  EXPECT_GE(seen, 4);
  expect_error(2, "preset icl-gpt2-small is of task icl", [] {
    LanguageOptions options;
    Fields fields;
    describe(fields, options);
    apply_preset(fields, "icl-gpt2-small");
  });
}

TEST(Regression, TokensAreXAndYInTurnsAndYStandsInTheFirstCoordinate) {
  const at::Tensor x = at::arange(12, at::kFloat).view({1, 4, 3}), y = -at::arange(1, 5, at::kFloat).view({1, 4});
  const at::Tensor tokens = interleaved(x, y);
  EXPECT_EQ(tokens.sizes(), (std::vector<int64_t>{1, 8, 3}));
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(tokens[0][2 * i].equal(x[0][i]));
    EXPECT_EQ(tokens[0][2 * i + 1][0].item<float>(), static_cast<float>(-i - 1));
    EXPECT_EQ(tokens[0][2 * i + 1].narrow(0, 1, 2).abs().sum().item<float>(), 0);
  }
}

TEST(Regression, APredictionReadsTheExamplesBeforeItAndItsOwnXAlone) {
  for (const auto& [name, options] : assemblies()) {
    const RegressionModel model = in_double(options);
    const c10::NoGradGuard no_grad;
    const at::Tensor x = some_x(), y = some_y(), before = model.predictions(x, y);
    EXPECT_EQ(before.sizes(), (std::vector<int64_t>{2, 4})) << name;
    for (int64_t i = 0; i < 4; ++i) {
      at::Tensor later_x = x.clone(), later_y = y.clone(), own_x = x.clone(), last_y = y.clone();
      later_y.narrow(1, i, 4 - i).add_(3);
      later_x.narrow(1, i + 1, 3 - i).mul_(-2);
      const at::Tensor after = model.predictions(later_x, later_y);
      EXPECT_LT(test::max_difference(after.narrow(1, 0, i + 1), before.narrow(1, 0, i + 1)), 1e-12) << name << " " << i;
      own_x.select(1, i).add_(1);
      EXPECT_GT(test::max_difference(model.predictions(own_x, y).select(1, i), before.select(1, i)), 1e-6) << name << " " << i;
      if (i == 0) continue;
      last_y.select(1, i - 1).add_(1);
      EXPECT_GT(test::max_difference(model.predictions(x, last_y).select(1, i), before.select(1, i)), 1e-6) << name << " " << i;
    }
    EXPECT_LT(test::max_difference(model.predictions(x.narrow(0, 1, 1), y.narrow(0, 1, 1)), before.narrow(0, 1, 1)), 1e-12) << name;
    EXPECT_LT(test::max_difference(model.predictions(x.narrow(1, 0, 1), y.narrow(1, 0, 1)), before.narrow(1, 0, 1)), 1e-12) << name;
  }
}

TEST(Regression, EveryGradientIsThatOfFiniteDifferences) {
  for (auto [name, options] : assemblies()) {
    options.layers = 1;
    options.width = 6;
    const RegressionModel model = in_double(options);
    const at::Tensor x = some_x(3).requires_grad_(), y = some_y(3).requires_grad_();
    std::vector<at::Tensor> inputs{x, y};
    for (const Parameter& parameter : model.parameters()) inputs.push_back(parameter.value);
    EXPECT_LT(test::gradient_error([&] { return model.predictions(x, y); }, inputs), 1e-6) << name;
    EXPECT_LT(test::gradient_error([&] { return model.loss(x, y); }, {x, y}), 1e-6) << name;
  }
}

TEST(Regression, TheLossIsTheMeanSquaredErrorAndDropoutIsOfItsSeed) {
  RegressionOptions options = small();
  options.dropout = 0.3;
  const RegressionModel model(options, 1);
  const at::Tensor x = some_x().to(at::kFloat), y = some_y().to(at::kFloat);
  EXPECT_NEAR(model.loss(x, y).item<double>(), (model.predictions(x, y) - y).square().mean().item<double>(), 1e-6);
  const auto loss = [&](uint64_t seed, bool recompute = false) {
    return model.loss(x, y, {.training = true, .dropout_seed = seed, .recompute = recompute}).item<double>();
  };
  EXPECT_EQ(loss(1), loss(1));
  EXPECT_EQ(loss(1), loss(1, true));
  EXPECT_NE(loss(1), loss(2));
}

TEST(Regression, MatricesStartByTheirInputsWhereAskedFor) {
  for (const char* mixer : {"mssa", "mhsa", "tssa"}) {
    RegressionOptions options = small(mixer);
    options.width = 60, options.heads = 3, options.block = BlockKind::mlp;
    const RegressionModel normal(options, 7);
    options.init = Init::fan_in;
    const RegressionModel by_inputs(options, 7);
    const Parameters before = normal.parameters(), after = by_inputs.parameters();
    for (size_t i = 0; i < after.size(); ++i) {
      const at::Tensor& value = after[i].value;
      const bool drawn = after[i].name.rfind("layers.", 0) == 0 && value.dim() == 2 && after[i].name.find("head_bias") == std::string::npos;
      if (drawn) {
        EXPECT_NEAR(value.std().item<double>() * std::sqrt(3.0 * static_cast<double>(value.size(1))), 1, 0.08) << after[i].name;
      } else if (after[i].name != "head") {  // which is drawn after them
        EXPECT_TRUE(value.equal(before[i].value)) << after[i].name;
      }
    }
  }
}

TEST(Regression, PresetsOfThePapersSizeStartAsPublishedAndSmallOnesByTheirInputs) {
  for (const Preset& preset : presets()) {
    if (preset.name.rfind("icl-", 0) != 0) continue;
    EXPECT_EQ(preset_options(preset.name).init == Init::fan_in, preset.name.find("small") != std::string::npos) << preset.name;
  }
}

TEST(Regression, WeightsAreOfTheirSeed) {
  const RegressionModel one(small(), 1), same(small(), 1), other(small(), 2);
  EXPECT_TRUE(one.parameters().front().value.equal(same.parameters().front().value));
  EXPECT_FALSE(one.parameters().front().value.equal(other.parameters().front().value));
}

TEST(Regression, ACheckpointGivesTheModelBack) {
  const TestFolder folder;
  int64_t number = 0;
  for (const auto& [name, options] : assemblies()) {
    const RegressionModel model(options, 7);
    const std::string place = "checkpoint-" + std::to_string(++number);
    {
      AtomicFolder saved(folder.path(), place);
      save_model(saved, model);
      saved.commit({});
    }
    EXPECT_EQ(read_model_task(folder.path(place)), "icl");
    const auto loaded = load_regression_model(folder.path(place));
    EXPECT_EQ(describe_as_toml(loaded->options()), describe_as_toml(model.options())) << name;
    const c10::NoGradGuard no_grad;
    const at::Tensor x = some_x().to(at::kFloat), y = some_y().to(at::kFloat);
    EXPECT_TRUE(loaded->predictions(x, y).equal(model.predictions(x, y))) << name;
    expect_error(3, "holds a model for icl, need one for vision", [&] { load_vision_model(folder.path(place)); });
  }
}

TEST(Regression, WhatDoesNotFitIsRefusedWithBothNumbers) {
  RegressionOptions options = small();
  options.width = 13;
  expect_error(2, "width 13 is not divisible by 3 heads", [&] { static_cast<void>(resolved(options)); });
  options.head_dim = 3;
  options.rotary = true;
  expect_error(2, "even head dimension (found 3)", [&] { static_cast<void>(resolved(options)); });
  options.rotary = false;
  options.position = Position::sincos;
  expect_error(2, "even width (found 13)", [&] { static_cast<void>(resolved(options)); });
  const RegressionModel model = in_double(small());
  EXPECT_THROW(static_cast<void>(model.predictions(some_x(6), some_y(6))), c10::ValueError);
  EXPECT_THROW(static_cast<void>(model.predictions(some_x(4), some_y(3))), c10::ValueError);
  EXPECT_THROW(static_cast<void>(model.predictions(test::normal({2, 4, 2}, 1), some_y())), c10::ValueError);
}

TEST(Regression, CountsTheFlopOfItsPrompts) {
  // GPT-2 at 41 points: 12 D^2 a layer, exact causal attention of 82 tokens, the two maps outside; times 2 and 3.
  const RegressionModel model = RegressionModel::without_storage(preset_options("icl-gpt2"));
  const double tokens = 82, width = 256;
  const double forward = 12 * (24 * width * width + 4 * width * (tokens + 1) / 2) + 2 * width * 20 + width;
  EXPECT_NEAR(summarize(model, 64, 41).flop_per_token, 3 * forward, 0.01 * 3 * forward);
}

}  // namespace
}  // namespace aot
