// SPDX-License-Identifier: Apache-2.0
#include "aot/train/trainer.h"

#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/ops/mssa_kernel.h"
#include "tests/kernels/paths.h"
#include "tests/support/files.h"
#include "tests/train/tiny.h"

namespace aot {
namespace {

struct Batch {
  at::Tensor ids, targets;
};

/// Rows of 0 1 2 ... with a random start: each next token is certain.
Batch counting_batch(int64_t rows, uint64_t seed) {
  Random random(seed);
  const at::Tensor tokens = at::randint(0, kTinyVocab, {rows, kTinyContext + 1}, at::kLong);
  for (int64_t row = 0; row < rows; ++row) {
    const auto first = static_cast<int64_t>(random.below(kTinyVocab));
    tokens[row].copy_(at::arange(first, first + kTinyContext + 1, at::kLong).remainder(kTinyVocab));
  }
  return {tokens.narrow(1, 0, kTinyContext), tokens.narrow(1, 1, kTinyContext)};
}

std::vector<at::Tensor> copies(const LanguageModel& model) {
  std::vector<at::Tensor> out;
  for (const Parameter& parameter : model.parameters()) out.push_back(parameter.value.detach().clone());
  return out;
}

/// Largest difference between the weights of two models.
double distance(const LanguageModel& a, const LanguageModel& b) {
  double most = 0;
  const Parameters left = a.parameters(), right = b.parameters();
  for (size_t i = 0; i < left.size(); ++i)
    most = std::max(most, left[i].value.detach().sub(right[i].value.detach()).abs().max().item<double>());
  return most;
}

StepResult take_step(Trainer& trainer, const LanguageModel& model, const Batch& batch, const LanguageInput& input = {}) {
  return trainer.step([&](const Pass& pass) { return language_loss(model, batch.ids, batch.targets, pass, input); });
}

TrainOptions options_of(int64_t batch, int64_t accumulate) {
  TrainOptions options;
  options.batch = batch;
  options.accumulate = accumulate;
  options.schedule = {.lr = 1e-2, .min_lr = 1e-3, .warmup = 2};
  return options;
}

TEST(Trainer, LearnsToCount) {
  const LanguageModel model(tiny_model(), 1);
  Trainer trainer(model.parameters(), options_of(8, 1), 1, 60);
  double first = 0, last = 0;
  for (int64_t step = 0; step < 60; ++step) {
    const Batch batch = counting_batch(8, static_cast<uint64_t>(step));
    last = take_step(trainer, model, batch).loss;
    if (step == 0) first = last;
  }
  EXPECT_NEAR(first, std::log(static_cast<double>(kTinyVocab)), 0.1);
  EXPECT_LT(last, 0.5);
  EXPECT_EQ(trainer.steps(), 60);
}

TEST(Trainer, LearnsToCountWithLionLayerDecayAndAnAverageOverTwoPasses) {
  const LanguageModel model(tiny_model(), 1);
  TrainOptions options = options_of(4, 2);
  options.schedule = {.lr = 3e-3, .min_lr = 3e-4, .warmup = 2};
  options.optimizer = {.rule = UpdateRule::lion, .weight_decay = 0.5, .layer_decay = 0.9, .ema = 0.9};
  Trainer trainer(model.parameters(), options, 1, 60);
  const double half = 0.5 * std::log(static_cast<double>(kTinyVocab));  // of the loss at the start
  double last = 0;
  for (int64_t step = 0; step < 60; ++step) {
    const Batch batch = counting_batch(8, static_cast<uint64_t>(step));
    last = take_step(trainer, model, batch).loss;
  }
  EXPECT_LT(last, half);
  const Batch batch = counting_batch(8, 99);
  const AveragedWeights averaged(trainer.optimizer());
  EXPECT_LT(model.loss(batch.ids, batch.targets).item<double>(), half);
}

/// A stack whose attention is cut in several tiles of rows and columns, with rows left over.
struct Curve {
  const char* name;
  bool causal, rotary;
};

class TrainingCurve : public testing::TestWithParam<Curve> {
 protected:
  static constexpr int64_t kTokens = 139, kRows = 4, kVocab = 11, kHidden = kVocab;

  static LanguageOptions shape(bool rotary) {
    return {.width = 64, .layers = 2, .heads = 2, .context = kTokens, .vocab_size = kVocab + 1, .rotary = rotary};
  }

  /// Random tokens of a bigram source: something to learn, and nothing that is ever certain. Causal models are asked for the next token,
  /// the others for every fifth, which is hidden from them.
  [[nodiscard]] Batch batch(uint64_t step, bool causal) const {
    at::Generator generator = make_generator(derive_seed(6, "batch", step));
    const at::Tensor choices = at::randint(0, 3, {kRows, kTokens + 1}, generator, at::kLong);
    at::Tensor tokens = at::randint(0, kVocab, {kRows, kTokens + 1}, generator, at::kLong);
    for (int64_t t = 1; t <= kTokens; ++t)
      tokens.select(1, t).copy_(next_.index_select(0, tokens.select(1, t - 1)).gather(1, choices.narrow(1, t, 1)).squeeze(1));
    const at::Tensor ids = tokens.narrow(1, 0, kTokens);
    if (causal) return {ids, tokens.narrow(1, 1, kTokens)};
    const at::Tensor hidden = at::arange(kTokens).remainder(5).eq(2).expand_as(ids);
    return {ids.masked_fill(hidden, kHidden), ids.masked_fill(hidden.logical_not(), -1)};
  }

 private:
  at::Tensor next_ = at::randint(0, kVocab, {kVocab, 3}, make_generator(5), at::kLong);
};

TEST_P(TrainingCurve, OnTheKernelsIsThatOfLibTorchForTwoHundredSteps) {
  const Curve& curve = GetParam();
  const test::KeepCpuPath keep;
  const CpuPath best = cpu_path();
  const LanguageModel fused_model(shape(curve.rotary), 4), plain_model(shape(curve.rotary), 4);
  TrainOptions options = options_of(kRows, 1);
  options.schedule = {.lr = 1e-3, .min_lr = 1e-4, .warmup = 20};
  Trainer fused(fused_model.parameters(), options, 1, 200), plain(plain_model.parameters(), options, 1, 200);
  Taps taps;  // a listener makes attention take the plain form
  int64_t heard = 0;
  taps.listen("layers.*.weights", [&heard](const std::string&, const at::Tensor& value) {
    ++heard;
    return value;
  });
  double first = 0, last = 0;
  for (uint64_t step = 0; step < 200; ++step) {
    const Batch batch = this->batch(step, curve.causal);
    const MssaCounts before = mssa_counts();
    last = take_step(fused, fused_model, batch, {.causal = curve.causal}).loss;
    const MssaCounts after = mssa_counts();
    ASSERT_EQ(after.heads - before.heads, 2 * 2 * kRows);
    set_cpu_path(CpuPath::generic);  // there LibTorch multiplies
    const double wanted = take_step(plain, plain_model, batch, {.causal = curve.causal, .taps = &taps}).loss;
    set_cpu_path(best);
    ASSERT_EQ(mssa_counts().heads, after.heads);
    ASSERT_NEAR(last, wanted, 1e-4) << "step " << step;
    if (step == 0) first = last;
  }
  EXPECT_EQ(heard, 400);
  EXPECT_LT(last, first - 0.2);
}

INSTANTIATE_TEST_SUITE_P(Trainer, TrainingCurve,
                         testing::Values(Curve{"causal", true, false}, Curve{"causal_rotary", true, true}, Curve{"symmetric", false, true}),
                         [](const auto& curve) { return std::string(curve.param.name); });

TEST(Trainer, TwoPassesOfHalfABatchEqualOneOfAll) {
  const LanguageModel whole_model(tiny_model(), 2), halves_model(tiny_model(), 2);
  TrainOptions one = options_of(8, 1), two = options_of(4, 2);
  one.optimizer = two.optimizer = {.layer_decay = 0.7, .ema = 0.9};
  Trainer whole(whole_model.parameters(), one, 1, 10), halves(halves_model.parameters(), two, 1, 10);
  for (uint64_t step = 0; step < 3; ++step) {
    const Batch batch = counting_batch(8, step);
    const StepResult a = take_step(whole, whole_model, batch), b = take_step(halves, halves_model, batch);
    EXPECT_NEAR(a.loss, b.loss, 1e-6);
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-5 * a.gradient_norm);
    EXPECT_EQ(a.lr, b.lr);
  }
  EXPECT_LT(distance(whole_model, halves_model), 1e-4);
  const AveragedWeights averaged(whole.optimizer()), averaged_halves(halves.optimizer());
  EXPECT_LT(distance(whole_model, halves_model), 1e-4);
}

TEST(Trainer, ClipsByTheGlobalNorm) {
  const Batch batch = counting_batch(4, 1);
  const LanguageModel model(tiny_model(), 3);
  TrainOptions options = options_of(4, 1);
  options.clip = 1e-3;
  Trainer trainer(model.parameters(), options, 1, 10);
  EXPECT_GT(take_step(trainer, model, batch).gradient_norm, 1e-2);  // told as it was
  double squares = 0;                                               // first moments are (1 - beta1) times the clipped gradient
  const Parameters moments = trainer.optimizer().state();
  for (size_t i = 0; i < moments.size(); i += 2) squares += moments[i].value.square().sum().item<double>();
  EXPECT_NEAR(std::sqrt(squares), 0.1 * 1e-3, 1e-8);
}

TEST(Trainer, SameSeedGivesTheSameBitsWithDropout) {
  LanguageOptions with_dropout = tiny_model();
  with_dropout.dropout = 0.2;
  const LanguageModel a(with_dropout, 4), b(with_dropout, 4), c(with_dropout, 4);
  Trainer first(a.parameters(), options_of(2, 2), 7, 10), second(b.parameters(), options_of(2, 2), 7, 10),
      other(c.parameters(), options_of(2, 2), 8, 10);
  for (uint64_t step = 0; step < 3; ++step) {
    const Batch batch = counting_batch(4, step);
    const double loss = take_step(first, a, batch).loss;
    EXPECT_EQ(take_step(second, b, batch).loss, loss);
    EXPECT_NE(take_step(other, c, batch).loss, loss);
  }
  EXPECT_EQ(distance(a, b), 0);
  EXPECT_GT(distance(a, c), 0);
}

TEST(Trainer, RefusesALossThatIsNotFiniteAndChangesNothing) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const LanguageModel model(tiny_model(), 5);
    Trainer trainer(model.parameters(), options_of(4, 1), 1, 10);
    const Batch batch = counting_batch(4, 1);
    take_step(trainer, model, batch);
    const Parameter last = model.parameters().back();
    last.value.detach().flatten()[0].fill_(bad);
    const std::vector<at::Tensor> before = copies(model);
    expect_error(1, "non-finite: step 2: loss is ", [&] { take_step(trainer, model, batch); });
    EXPECT_NE(error_of([&] { take_step(trainer, model, batch); }).find(last.name), std::string::npos);
    EXPECT_EQ(trainer.steps(), 1);
    const Parameters after = model.parameters();
    for (size_t i = 0; i + 1 < after.size(); ++i) EXPECT_TRUE(after[i].value.equal(before[i])) << after[i].name;
  }
}

TEST(Trainer, RefusesAGradientThatIsNotFiniteAndChangesNothing) {
  const LanguageModel model(tiny_model(), 6);
  Trainer trainer(model.parameters(), options_of(4, 1), 1, 10);
  const Batch batch = counting_batch(4, 1);
  const Parameter first = model.parameters().front();
  first.value.register_hook([](const at::Tensor& gradient) { return gradient.mul(std::numeric_limits<double>::infinity()); });
  const std::vector<at::Tensor> before = copies(model);
  expect_error(1, "non-finite: step 1: gradient of '" + first.name + "'", [&] { take_step(trainer, model, batch); });
  const Parameters after = model.parameters();
  for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(after[i].value.equal(before[i])) << after[i].name;
}

TEST(Trainer, ForgetsTheGradientsOfAStepThatWasRefused) {
  const LanguageModel model(tiny_model(), 8), untouched(tiny_model(), 8);
  Trainer trainer(model.parameters(), options_of(4, 1), 1, 10), other(untouched.parameters(), options_of(4, 1), 1, 10);
  const Batch batch = counting_batch(4, 1);
  const at::Tensor weight = model.blocks().front().mixer().parameters().front().value;  // used once: sums have one order, hooked or not
  const unsigned hook =
      weight.register_hook([](const at::Tensor& gradient) { return gradient.mul(std::numeric_limits<double>::infinity()); });
  expect_error(1, "non-finite: step 1: gradient of", [&] { take_step(trainer, model, batch); });
  weight.remove_hook(hook);
  EXPECT_EQ(take_step(trainer, model, batch).gradient_norm, take_step(other, untouched, batch).gradient_norm);
  EXPECT_EQ(distance(model, untouched), 0);
}

TEST(Trainer, LearnsInBfloat16OverFloat32Weights) {
  const LanguageModel exact_model(tiny_model(), 7), model(tiny_model(), 7);
  TrainOptions options = options_of(8, 1);
  Trainer exact(exact_model.parameters(), options, 1, 40);
  options.dtype = "bfloat16";
  Trainer trainer(model.parameters(), options, 1, 40);
  double loss = 0;
  for (uint64_t step = 0; step < 40; ++step) {
    const Batch batch = counting_batch(8, step);
    const double in_float = take_step(exact, exact_model, batch).loss;
    loss = take_step(trainer, model, batch).loss;
    if (step == 0) {
      EXPECT_NEAR(loss, in_float, 0.02);
      EXPECT_NE(loss, in_float);  // or nothing ran in bfloat16
    }
  }
  EXPECT_LT(loss, 1.0);
  for (const Parameter& parameter : model.parameters()) EXPECT_EQ(parameter.value.scalar_type(), at::kFloat) << parameter.name;
}

}  // namespace
}  // namespace aot
