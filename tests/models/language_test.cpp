// SPDX-License-Identifier: Apache-2.0
#include "aot/models/language.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ops/allclose.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/models/presets.h"
#include "aot/ops/taps.h"

namespace aot {
namespace {

at::Tensor random_ids(int64_t batch, int64_t tokens, int64_t vocab, uint64_t seed = 7) {
  return at::randint(vocab, {batch, tokens}, make_generator(seed), at::kLong);
}

LanguageOptions small(const std::string& mixer = "mssa") {
  return {.mixer = mixer, .width = 24, .layers = 2, .heads = 3, .context = 17, .vocab_size = 11};
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Language, SameSeedSameWeightsOtherSeedOthers) {
  const LanguageModel a(small(), 5), b(small(), 5), c(small(), 6);
  for (size_t i = 0; i < a.parameters().size(); ++i) EXPECT_TRUE(a.parameters()[i].value.equal(b.parameters()[i].value));
  EXPECT_FALSE(a.parameters()[0].value.equal(c.parameters()[0].value));
}

TEST(Language, StartsNearUniformLoss) {
  const LanguageModel model(small(), 1);
  const at::Tensor ids = random_ids(4, 17, 11);
  EXPECT_NEAR(model.loss(ids, random_ids(4, 17, 11, 8)).item<double>(), std::log(11.0), 0.05);
}

TEST(Language, OutputProjectionsStartSmallerWithDepth) {
  LanguageOptions options = small();
  options.width = 192;
  options.layers = 8;
  for (const Parameter& parameter : LanguageModel(options, 3).parameters()) {
    if (parameter.value.dim() < 2) continue;
    const bool output = parameter.name.find("w_out") != std::string::npos;
    EXPECT_NEAR(parameter.value.std().item<double>(), output ? 0.02 / std::sqrt(16.0) : 0.02, 0.0012) << parameter.name;
  }
}

TEST(Language, LossIsCrossEntropyOfLogitsWithIgnoredTargets) {
  const LanguageModel model(small(), 1);
  const at::Tensor ids = random_ids(3, 9, 11);
  at::Tensor targets = random_ids(3, 9, 11, 9);
  targets[1][4] = -1;
  const at::Tensor logits = model.logits(model.hidden(ids)).flatten(0, 1);
  const at::Tensor plain = at::cross_entropy_loss(logits, targets.flatten(), {}, at::Reduction::Mean, -1);
  EXPECT_NEAR(model.loss(ids, targets).item<double>(), plain.item<double>(), 1e-6);
  const at::Tensor per_token = model.token_losses(ids, targets);
  EXPECT_EQ(per_token[1][4].item<double>(), 0);
  EXPECT_NEAR(per_token.sum().item<double>() / 26, plain.item<double>(), 1e-6);
}

/// Every kind of model that options can assemble, by a name for messages.
std::vector<std::pair<std::string, LanguageOptions>> assemblies() {
  std::vector<std::pair<std::string, LanguageOptions>> all;
  const auto add = [&all](const std::string& name, auto change, const std::string& mixer = "mssa") {
    LanguageOptions options = small(mixer);
    change(options);
    all.emplace_back(name, options);
  };
  add("mssa rotary", [](LanguageOptions&) {});
  add("mssa learned", [](LanguageOptions& o) { o.position = Position::learned, o.rotary = false; });
  add("mssa sincos, tied, scalar step", [](LanguageOptions& o) {
    o.position = Position::sincos, o.output = Output::tied, o.step_size = StepSize::scalar, o.step_init = 0.5;
  });
  add("mssa gate, channel step, rms",
      [](LanguageOptions& o) { o.gate = Gate::silu, o.step_size = StepSize::channel, o.norm = NormKind::rms; });
  add("mssa wide heads, no norm, head apart",
      [](LanguageOptions& o) { o.head_dim = 10, o.norm = NormKind::none, o.tie_embeddings = false; });
  add("mssa fixed step 0.25, bias", [](LanguageOptions& o) { o.step_init = 0.25, o.bias = true; });
  add(
      "mhsa learned + rotary", [](LanguageOptions& o) { o.position = Position::learned; }, "mhsa");
  add(
      "gpt2 with bias",
      [](LanguageOptions& o) { o.block = BlockKind::mlp, o.rotary = false, o.position = Position::learned, o.bias = true; }, "mhsa");
  add(
      "tssa with mlp", [](LanguageOptions& o) { o.block = BlockKind::mlp, o.rotary = false, o.step_size = StepSize::channel; }, "tssa");
  return all;
}

TEST(Language, DecodingTokenByTokenAndInChunksEqualsOnePass) {
  for (const auto& [name, options] : assemblies()) {
    const LanguageModel model(options, 2);
    const c10::NoGradGuard no_grad;
    const at::Tensor ids = random_ids(2, 17, 11);
    const at::Tensor whole = model.logits(model.hidden(ids));
    for (const int64_t chunk : {1, 3, 16}) {
      LanguageState state = model.make_state(2, 17);
      for (int64_t first = 0; first < 17; first += chunk) {
        const int64_t n = std::min<int64_t>(chunk, 17 - first);
        const at::Tensor logits = model.step(ids.narrow(1, first, n), state);
        EXPECT_LT(largest_difference(logits, whole.select(1, first + n - 1)), 2e-5) << name << ", chunk " << chunk << ", token " << first;
      }
      EXPECT_EQ(state.tokens(), 17);
    }
  }
}

TEST(Language, LossesOfWhatFollowsAStateAreThoseOfOnePass) {
  for (const auto& [name, options] : assemblies()) {
    const LanguageModel model(options, 2);
    const c10::InferenceMode guard;
    const at::Tensor ids = random_ids(3, 17, 11), targets = random_ids(3, 17, 11, 8);
    ids.narrow(0, 1, 2).narrow(1, 0, 6).copy_(ids.narrow(0, 0, 1).narrow(1, 0, 6).expand({2, 6}));  // what they share
    targets[1][16] = -1;
    const at::Tensor whole = model.token_losses(ids, targets);
    LanguageState state = model.make_state(1, 17);
    static_cast<void>(model.step(ids.narrow(0, 0, 1).narrow(1, 0, 6), state));
    state.reorder(at::zeros({3}, at::kLong));
    const at::Tensor losses = model.token_losses(ids.narrow(1, 6, 11).contiguous(), targets.narrow(1, 6, 11).contiguous(), state);
    EXPECT_LT(largest_difference(losses, whole.narrow(1, 6, 11)), 2e-5) << name;
    EXPECT_EQ(losses[1][10].item<double>(), 0);
    EXPECT_EQ(state.tokens(), 17);
  }
}

TEST(Language, FutureTokensChangeNothing) {
  for (const auto& [name, options] : assemblies()) {
    const LanguageModel model(options, 2);
    const c10::NoGradGuard no_grad;
    at::Tensor ids = random_ids(1, 17, 11);
    const at::Tensor before = model.hidden(ids).narrow(1, 0, 9).clone();
    ids.narrow(1, 9, 8).copy_(random_ids(1, 8, 11, 99));
    EXPECT_LT(largest_difference(model.hidden(ids).narrow(1, 0, 9), before), 1e-6) << name;
  }
}

TEST(Language, EveryParameterOfEveryAssemblyGetsAGradient) {
  for (const auto& [name, options] : assemblies()) {
    const LanguageModel model(options, 2);
    model.loss(random_ids(2, 17, 11), random_ids(2, 17, 11, 3)).backward();
    for (const Parameter& parameter : model.parameters()) {
      ASSERT_TRUE(parameter.value.grad().defined()) << name << ": " << parameter.name;
      EXPECT_GT(parameter.value.grad().abs().max().item<double>(), 0) << name << ": " << parameter.name;
    }
  }
}

TEST(Language, Gpt2BlockIsAttentionThenMlp) {
  LanguageOptions options = small("mhsa");
  options.block = BlockKind::mlp;
  options.layers = 1;
  options.rotary = false;
  const LanguageModel model(options, 4);
  at::Tensor middle, after;
  Taps taps;
  taps.listen("layers.0.update", [&](const std::string&, const at::Tensor& value) { return middle = value; });
  taps.listen("layers.0.residual", [&](const std::string&, const at::Tensor& value) { return after = value; });
  const at::Tensor ids = random_ids(2, 5, 11);
  static_cast<void>(model.hidden(ids, {.taps = &taps}));
  Parameters p = model.parameters();
  const auto get = [&p](const std::string& name) {
    for (const Parameter& parameter : p)
      if (parameter.name == name) return parameter.value;
    throw std::runtime_error("no parameter " + name);
  };
  const at::Tensor z = get("embedding").index_select(0, ids.flatten()).view({2, 5, 24}) + middle;
  const at::Tensor normed = at::layer_norm(z, {24}, get("layers.0.mlp_norm.weight"));
  const at::Tensor mlp = at::gelu(normed.matmul(get("layers.0.mlp.w_in").t())).matmul(get("layers.0.mlp.w_out").t());
  EXPECT_LT(largest_difference(after, z + mlp), 1e-6);
}

TEST(Language, AListenerMayReplaceWhatPassesAndOtherwiseChangesNothing) {
  const LanguageModel model(small(), 4);
  const at::Tensor ids = random_ids(2, 5, 11);
  const at::Tensor plain = model.hidden(ids);
  Taps reading;
  int heard = 0;
  reading.listen("layers.*.residual", [&](const std::string&, const at::Tensor& value) { return ++heard, value; });
  EXPECT_TRUE(model.hidden(ids, {.taps = &reading}).equal(plain));
  EXPECT_EQ(heard, 2);
  Taps ablating;
  ablating.listen("layers.1.update", [](const std::string&, const at::Tensor& value) { return at::zeros_like(value); });
  EXPECT_FALSE(model.hidden(ids, {.taps = &ablating}).equal(plain));
}

TEST(Language, DropoutIsAFunctionOfItsSeedAndOffInEvaluation) {
  LanguageOptions options = small();
  options.dropout = 0.3;
  const LanguageModel model(options, 4);
  const at::Tensor ids = random_ids(2, 9, 11);
  const auto with = [&](uint64_t seed) { return model.hidden(ids, {.training = true, .dropout_seed = seed}); };
  EXPECT_TRUE(with(1).equal(with(1)));
  EXPECT_FALSE(with(1).equal(with(2)));
  EXPECT_TRUE(model.hidden(ids).equal(model.hidden(ids)));
}

TEST(Language, SincosPositionsAreTheFormula) {
  const at::Tensor table = sincos_positions(4, 6);
  for (int64_t t = 0; t < 4; ++t) {
    EXPECT_NEAR(table[t][2].item<double>(), std::sin(static_cast<double>(t) * std::pow(10000.0, -2.0 / 6)), 1e-7);
    EXPECT_NEAR(table[t][5].item<double>(), std::cos(static_cast<double>(t) * std::pow(10000.0, -4.0 / 6)), 1e-7);
  }
}

TEST(Language, TooManyTokensForLearnedPositionsAreRefused) {
  LanguageOptions options = small();
  options.position = Position::learned;
  const LanguageModel model(options, 1);
  EXPECT_THROW(static_cast<void>(model.hidden(random_ids(1, 18, 11))), c10::ValueError);
}

TEST(Language, OptionsThatDoNotFitTogetherAreRefusedWithBothNumbers) {
  const auto message = [](auto change) {
    LanguageOptions options = small();
    change(options);
    try {
      resolved(options);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(message([](LanguageOptions& o) { o.width = 100, o.heads = 3; }).find("width 100 is not divisible by 3 heads"),
            std::string::npos);
  EXPECT_NE(message([](LanguageOptions& o) { o.head_dim = 7; }).find("found 7"), std::string::npos);
  EXPECT_NE(message([](LanguageOptions& o) { o.vocab_size = 0; }).find("vocabulary"), std::string::npos);
  EXPECT_EQ(message([](LanguageOptions& o) { o.head_dim = 7, o.rotary = false; }), "accepted");
}

TEST(Language, SettingsSurviveATripThroughToml) {
  LanguageOptions options = small("mhsa");
  options.block = BlockKind::mlp;
  options.step_size = StepSize::channel;
  options.step_init = 1e-5;
  LanguageOptions read;
  Fields fields;
  describe(fields, read);
  fields.set_from(parse_toml(describe_as_toml(options), "test"), Origin::file, "test");
  EXPECT_EQ(describe_as_toml(read), describe_as_toml(options));
}

}  // namespace
}  // namespace aot
