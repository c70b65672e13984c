// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/probe.h"

#include <cmath>

#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/theory/bases.h"
#include "tests/support/pictures.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kWidth = 12, kHeads = 3, kDim = 4, kVocab = 9;

/// A model without norm and positions, so that its tokens are what is planted.
LanguageOptions plain(const std::string& mixer = "mssa") {
  LanguageOptions o;
  o.mixer = mixer;
  o.width = kWidth;
  o.layers = 2;
  o.heads = kHeads;
  o.head_dim = kDim;
  o.context = 16;
  o.vocab_size = kVocab;
  o.rotary = false;
  o.norm = NormKind::none;
  o.output = mixer == "mssa" ? Output::tied : Output::untied;
  return o;
}

at::Tensor parameter(const LanguageModel& model, const std::string& name) {
  for (const Parameter& p : model.parameters())
    if (p.name == name) return p.value;
  throw Error(ExitCode::failed, "no parameter " + name);
}

void set(const LanguageModel& model, const std::string& name, const at::Tensor& value) {
  const c10::NoGradGuard no_grad;
  parameter(model, name).copy_(value);
}

std::vector<int32_t> text_of(int64_t tokens) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < tokens; ++i) out.push_back(static_cast<int32_t>(i * i % kVocab));
  return out;
}

/// Head k owns the axes 4 k .. 4 k + 3 in both layers, and token v lies along axes of head v % 3, 3 along its own and .5 outside.
LanguageModel planted() {
  LanguageModel model(plain(), 1);
  at::Tensor embedding = at::zeros({kVocab, kWidth});
  for (int64_t v = 0; v < kVocab; ++v) {
    embedding[v][(v % kHeads) * kDim + v / kHeads] = 3;
    embedding[v][(v + 1) % kHeads * kDim] = 0.5;
  }
  set(model, "embedding", embedding);
  for (const char* name : {"layers.0.mixer.u", "layers.1.mixer.u"}) set(model, name, at::eye(kWidth));
  return model;
}

TEST(Probe, FindsThePlantedSnrAndHeads) {
  const std::vector<int32_t> text = text_of(64);
  const ModelProbe probe = probe_model(planted(), source_of(text), {.tokens = 64, .draws = 4}, 1);
  ASSERT_EQ(probe.layers.size(), 2u);
  EXPECT_EQ(probe.tokens, 64);
  EXPECT_EQ(probe.windows, 4);
  const ProbedLayer& first = probe.layers[0];
  EXPECT_NEAR(first.before.snr(), 6, 1e-6);
  EXPECT_NEAR(first.token_norm, std::sqrt(9.25), 1e-6);
  std::vector<int64_t> wanted(kHeads, 0);
  for (const int32_t id : text) ++wanted[static_cast<size_t>(id % kHeads)];
  for (size_t k = 0; k < 3; ++k) EXPECT_EQ(first.heads[k].tokens, wanted[k]) << k;
  EXPECT_NEAR(first.overlap.largest, 0, 1e-12);
  EXPECT_NEAR(probe.chance_snr, std::sqrt(0.5), 1e-12);
  for (const double snr : first.random.snr) EXPECT_LT(snr, 2);
  EXPECT_EQ(first.shuffled.snr, std::vector<double>{first.before.snr()});  // the other layer's bases are the same
  EXPECT_EQ(first.shuffled.growth, std::vector<double>{first.after.snr() - first.before.snr()});
}

TEST(Probe, TokensThatReadOnlyThemselvesGrowAsTheTheoremSays) {
  LanguageOptions options = plain();
  options.heads = 1;
  options.head_dim = kVocab;
  const LanguageModel model(options, 1);
  at::Tensor embedding = at::zeros({kVocab, kWidth});
  for (int64_t v = 0; v < kVocab; ++v) {
    embedding[v][v] = 60;  // an axis of its own, so that scores of other tokens stay far behind
    embedding[v][kWidth - 1] = 10;
  }
  set(model, "embedding", embedding);
  for (const char* name : {"layers.0.mixer.u", "layers.1.mixer.u"}) set(model, name, at::eye(kWidth).narrow(0, 0, kVocab));
  const std::vector<int32_t> every_token = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const ModelProbe probe = probe_model(model, source_of(every_token), {.tokens = 9}, 1);
  double snr = 6;
  for (const ProbedLayer& layer : probe.layers) {
    EXPECT_NEAR(layer.own_mass, 1, 1e-6);
    EXPECT_NEAR(layer.entropy, 0, 1e-5);
    EXPECT_NEAR(layer.before.snr(), snr, 1e-5);
    EXPECT_NEAR(layer.after.snr(), 2 * snr, 1e-5);  // 1 + eta tau with eta and tau 1
    EXPECT_NEAR(layer.step_share, snr / std::hypot(snr, 1), 1e-6);
    EXPECT_NEAR(layer.heads[0].effective_rank, 9, 1e-6);
    EXPECT_LT(layer.gradient_cosine, -0.9);  // growing inside a subspace raises the coding rate
    snr *= 2;
  }
}

TEST(Probe, ALayerThatWritesNothingChangesNothing) {
  LanguageModel model(plain("mhsa"), 3);
  set(model, "layers.0.mixer.w_out", at::zeros({kWidth, kWidth}));
  const ProbedLayer first = probe_model(model, source_of(text_of(48)), {.tokens = 48}, 1).layers[0];
  EXPECT_EQ(first.after.snr(), first.before.snr());
  EXPECT_EQ(first.step_share, 0);
  EXPECT_EQ(first.gradient_cosine, 0);
  EXPECT_EQ(first.coding_rate_subspaces, first.coding_rate_subspaces_after);
  for (const double growth : first.random.growth) EXPECT_EQ(growth, 0);
}

TEST(Probe, ZeroSubspacesOfAttentionWeighAllVisibleTokensAlike) {
  LanguageModel model(plain("mhsa"), 3);
  for (const char* name : {"layers.0.mixer.w_qkv", "layers.1.mixer.w_qkv"}) {
    at::Tensor w = parameter(model, name).detach().clone();
    w.narrow(0, 0, 2 * kWidth).zero_();
    set(model, name, w);
  }
  const ModelProbe probe = probe_model(model, source_of(text_of(48)), {.tokens = 48}, 1);
  for (const ProbedLayer& layer : probe.layers) {
    EXPECT_NEAR(layer.own_mass, probe.own_mass_uniform, 1e-6);
    EXPECT_NEAR(layer.entropy, probe.entropy_uniform, 1e-5);
  }
}

TEST(Probe, PicturesAreWindowsInWhichAllTokensReadAll) {
  const DrawnPictures pictures(drawn_digits(12, 28, 1), 9);
  const VisionModel model({.width = 12, .layers = 2, .heads = 3, .image_size = 28, .channels = 1, .classes = 10, .patch = 7}, 1);
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == "layers.1.mixer.u") at::Tensor(parameter.value).mul_(1e-6);  // reads all tokens alike, its subspaces as they were
  const PictureReading reading = {.mean = pictures.data.mean, .std = pictures.data.std};
  const ModelProbe probe = probe_model(model, *pictures.data.val, reading, {.tokens = 100}, 1);
  EXPECT_EQ(probe.windows, 5);  // of 16 patches and the class token
  EXPECT_EQ(probe.tokens, 85);
  EXPECT_NEAR(probe.own_mass_uniform, 1 / 17., 1e-12);
  EXPECT_NEAR(probe.entropy_uniform, std::log(17.), 1e-12);
  EXPECT_NEAR(probe.layers[1].own_mass, 1 / 17., 1e-6);
  EXPECT_NEAR(probe.layers[1].entropy, std::log(17.), 1e-5);
  // The SNR before the second layer, from the tokens themselves.
  at::Tensor z;
  Taps taps;
  taps.listen("layers.0.residual", [&z](const std::string&, const at::Tensor& value) { return z = value; });
  for_each_batch(model, *pictures.data.val, {.mean = reading.mean, .std = reading.std, .limit = 5},
                 [&](const at::Tensor& images, const at::Tensor&) { static_cast<void>(model.tokens(images, {.taps = &taps})); });
  HeadSnr plain_snr(probed_subspaces(shape_of(model.options()), model.blocks()[1]));
  const at::Tensor tokens = z.to(at::kDouble).flatten(0, 1);
  plain_snr.add(tokens, tokens);
  EXPECT_NEAR(probe.layers[1].before.snr(), pooled(plain_snr.before()).snr(), 1e-7);  // of two float32 passes, in batches of their own
  EXPECT_EQ(probe_model(model, *pictures.data.val, reading, {.tokens = 1 << 20}, 1).windows, 9);
}

TEST(Probe, ReadsTheValueSubspacesOfFreeAttention) {
  const LanguageModel model(plain("mhsa"), 5);
  const Subspaces found = probed_subspaces(shape_of(model.options()), model.blocks()[1]);
  const at::Tensor values = parameter(model, "layers.1.mixer.w_qkv").detach().to(at::kDouble).narrow(0, 2 * kWidth, kWidth);
  for (int64_t k = 0; k < kHeads; ++k) {
    const at::Tensor basis = values.narrow(0, k * kDim, kDim).t(), q = found.basis(k);
    EXPECT_LT(test::max_difference(at::matmul(q, at::matmul(q.t(), basis)), basis), 1e-12);
  }
}

TEST(Probe, BatchesAndWindowsDoNotChangeWhatIsMeasured) {
  // 300 windows of 16 need two batches; the text is periodic in 9 * 16 tokens, so that 36 of its windows hold the same tokens as often.
  std::vector<int32_t> text;
  for (int64_t i = 0; i < 16 * 9 * 40; ++i) text.push_back(static_cast<int32_t>(i / 16 * 5 % kVocab + i) % kVocab);
  LanguageOptions options = plain();
  options.norm = NormKind::layer;
  const LanguageModel model(options, 2);
  const ModelProbe all = probe_model(model, source_of(text), {.tokens = static_cast<int64_t>(text.size())}, 1);
  text.resize(16 * 9);
  const ModelProbe one = probe_model(model, source_of(text), {.tokens = 16 * 9}, 1);
  for (size_t l = 0; l < 2; ++l) {
    EXPECT_NEAR(all.layers[l].before.snr(), one.layers[l].before.snr(), 1e-6);
    EXPECT_NEAR(all.layers[l].entropy, one.layers[l].entropy, 1e-6);
    EXPECT_NEAR(all.layers[l].gradient_cosine_across, one.layers[l].gradient_cosine_across, 1e-5);
    EXPECT_NEAR(all.layers[l].coding_rate, one.layers[l].coding_rate, 1e-4);
  }
}

TEST(Probe, TheSameSeedDrawsTheSameBaselines) {
  const LanguageModel model(plain(), 2);
  const std::vector<int32_t> text = text_of(32);
  const auto random = [&](uint64_t seed) { return probe_model(model, source_of(text), {.tokens = 32}, seed).layers[1].random.snr; };
  EXPECT_EQ(random(4), random(4));
  EXPECT_NE(random(4), random(5));
}

TEST(Probe, RefusesModelsWithoutSubspaces) {
  const std::vector<int32_t> text = text_of(32), short_text = text_of(1);
  const auto refused = [&](const LanguageOptions& options, const std::vector<int32_t>& tokens) {
    try {
      probe_model(LanguageModel(options, 1), source_of(tokens), {}, 1);
    } catch (const UsageError& error) {
      return error.problem;
    }
    return std::string();
  };
  LanguageOptions tssa = plain("tssa");
  EXPECT_NE(refused(tssa, text).find("mixes by tssa"), std::string::npos);
  LanguageOptions full = plain();
  full.heads = 1;
  full.head_dim = kWidth;
  EXPECT_NE(refused(full, text).find("leave no noise"), std::string::npos);
  EXPECT_NE(refused(plain(), short_text).find("at least 2 tokens"), std::string::npos);
}

}  // namespace
}  // namespace aot
