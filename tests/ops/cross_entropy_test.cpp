// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/cross_entropy.h"

#include <cmath>

#include <ATen/autocast_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/core/gradients.h"
#include "tests/kernels/paths.h"
#include "tests/support/live_bytes.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kWidth = 6;
constexpr int64_t kLargeVocab = 20000;  // chunks of 512 rows

struct Case {
  at::Tensor x, head, targets;

  [[nodiscard]] at::Tensor loss() const { return linear_cross_entropy(x, head, targets); }
  [[nodiscard]] at::Tensor reference() const { return linear_cross_entropy_reference(x, head, targets); }
};

/// Every fifth target is ignored when `ignored`.
Case make_case(int64_t rows, int64_t vocab_size, bool ignored, at::ScalarType dtype = at::kFloat) {
  at::Tensor targets = (test::normal({rows}, 3) * 1e6).to(at::kLong).remainder(vocab_size);
  if (ignored)
    for (int64_t i = 0; i < rows; i += 5) targets[i].fill_(kIgnoredTarget);
  return {.x = test::normal({rows, kWidth}, 1, dtype).requires_grad_(),
          .head = test::normal({vocab_size, kWidth}, 2, dtype).requires_grad_(),
          .targets = targets};
}

Case in_float64(const Case& c) {
  return {
      .x = c.x.detach().to(at::kDouble).requires_grad_(), .head = c.head.detach().to(at::kDouble).requires_grad_(), .targets = c.targets};
}

TEST(CrossEntropy, IsThePlainFormWithOneChunkAndWithSeveral) {
  for (const int64_t rows : {1, 100, 512, 513, 1500})
    for (const bool ignored : {false, true}) {
      if (rows == 1 && ignored) continue;
      const Case c = make_case(rows, kLargeVocab, ignored), exact = in_float64(c);
      const at::Tensor loss = c.loss(), reference = exact.reference();
      EXPECT_NEAR(loss.item<double>(), reference.item<double>(), 1e-5) << rows << " rows";
      const auto chunked = test::gradients(loss, at::ones({}), {c.x, c.head});
      const auto plain = test::gradients(reference, at::ones({}, at::kDouble), {exact.x, exact.head});
      for (size_t i = 0; i < 2; ++i)
        EXPECT_LT(test::max_difference(chunked[i], plain[i]), 1e-5 * plain[i].abs().max().item<double>() + 1e-8)
            << rows << " rows, gradient " << i;
    }
}

TEST(CrossEntropy, GradientsEqualFiniteDifferences) {
  const Case c = make_case(11, 7, true, at::kDouble);
  EXPECT_LT(test::gradient_error([&] { return c.loss(); }, {c.x, c.head}), 1e-8);
  EXPECT_LT(test::gradient_error([&] { return 3 * c.loss(); }, {c.x, c.head}), 1e-8);
}

TEST(CrossEntropy, ScalesItsGradientsByWhatComesInHoweverOftenItIsAsked) {
  const Case c = make_case(11, 7, false, at::kDouble);
  const auto plain = test::gradients(c.loss(), at::ones({}, at::kDouble), {c.x, c.head});
  const at::Tensor loss = c.loss();
  for (const double factor : {0.25, 1.0, 3.0}) {
    const at::Tensor kept = loss * factor;
    for (const at::Tensor& leaf : {c.x, c.head}) leaf.mutable_grad().reset();
    kept.backward({}, /*retain_graph=*/true);
    EXPECT_LT(test::max_difference(c.x.grad(), plain[0] * factor), 1e-15) << factor;
    EXPECT_LT(test::max_difference(c.head.grad(), plain[1] * factor), 1e-15) << factor;
  }
  for (const at::Tensor& leaf : {c.x, c.head}) leaf.mutable_grad().reset();
  (loss * 0.5).backward();
  EXPECT_LT(test::max_difference(c.head.grad(), plain[1] * 0.5), 1e-15);
}

TEST(CrossEntropy, AddsTheHeadsGradientInPlaceForThatOfTheLoss) {
  for (const at::ScalarType products : {at::kFloat, at::kBFloat16}) {
    const Case apart = make_case(600, kLargeVocab, true), in = make_case(600, kLargeVocab, true);
    const auto loss = [products](const Case& c) {
      const bool before = at::autocast::is_autocast_enabled(at::kCPU);
      at::autocast::set_autocast_enabled(at::kCPU, products == at::kBFloat16);
      const at::Tensor out = c.loss();
      at::autocast::set_autocast_enabled(at::kCPU, before);
      return out;
    };
    const at::Tensor share = at::full({}, 0.25);  // a power of 2: bits stay the same
    in.head.mutable_grad() = at::zeros_like(in.head);
    const void* buffer = in.head.grad().const_data_ptr();
    loss(apart).backward(share);
    {
      const GradientsInPlace in_place(0.25);
      loss(in).backward(share);
    }
    EXPECT_TRUE(in.head.grad().equal(apart.head.grad())) << products;
    EXPECT_TRUE(in.x.grad().equal(apart.x.grad())) << products;
    EXPECT_EQ(in.head.grad().const_data_ptr(), buffer);
    const GradientsInPlace in_place(0.25);
    loss(in).backward(share);
    EXPECT_LT(test::max_difference(in.head.grad(), apart.head.grad() * 2), 1e-6);
    EXPECT_THROW(loss(in).backward(), c10::ValueError);  // not what its gradient was added for
  }
}

TEST(CrossEntropy, WithEveryTargetIgnoredIsNaNWithoutGradient) {
  Case c = make_case(5, 7, false);
  c.targets.fill_(kIgnoredTarget);
  EXPECT_TRUE(std::isnan(c.loss().item<double>()));
  const auto gradients = test::gradients(c.loss(), at::ones({}), {c.x, c.head});
  EXPECT_EQ(gradients[0].abs().max().item<double>(), 0);
  EXPECT_EQ(gradients[1].abs().max().item<double>(), 0);
}

TEST(CrossEntropy, PerTokenIsEachRowsLossAndTheMeanIsTheirs) {
  const Case c = make_case(1100, kLargeVocab, true);
  const at::Tensor losses = linear_cross_entropy_per_token(c.x, c.head, c.targets), real = c.targets.ne(kIgnoredTarget);
  EXPECT_FALSE(losses.requires_grad());
  const at::Tensor log_p = at::linear(c.x, c.head).log_softmax(-1);
  const at::Tensor expected = -log_p.gather(1, c.targets.clamp_min(0).unsqueeze(1)).squeeze(1) * real;
  EXPECT_LT(test::max_difference(losses, expected), 1e-4);
  EXPECT_NEAR(losses.sum(at::kDouble).item<double>() / real.sum().item<double>(), c.loss().item<double>(), 1e-6);
  Case still = c;
  still.x = c.x.detach();
  still.head = c.head.detach();
  EXPECT_NEAR(still.loss().item<double>(), c.loss().item<double>(), 1e-6);  // without gradients it takes the other path
}

TEST(CrossEntropy, InBfloat16IsAtMostTwiceAsFarFromFloat32AsThePlainForm) {
  const Case half = make_case(1100, kLargeVocab, true, at::kBFloat16);
  Case exact = half;
  exact.x = half.x.detach().to(at::kFloat).requires_grad_();
  exact.head = half.head.detach().to(at::kFloat).requires_grad_();
  const double truth = exact.reference().item<double>();
  EXPECT_EQ(half.loss().scalar_type(), at::kFloat);
  EXPECT_LE(std::abs(half.loss().item<double>() - truth), 2 * std::abs(half.reference().item<double>() - truth) + 1e-3);
  const auto true_gradients = test::gradients(exact.reference(), at::ones({}), {exact.x, exact.head});
  const auto chunked = test::gradients(half.loss(), at::ones({}), {half.x, half.head});
  const auto plain = test::gradients(half.reference(), at::ones({}), {half.x, half.head});
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(chunked[i].scalar_type(), at::kBFloat16);
    EXPECT_LE(test::max_difference(chunked[i], true_gradients[i]), 2 * test::max_difference(plain[i], true_gradients[i])) << i;
  }
}

TEST(CrossEntropy, UnderAutocastMultipliesInBfloat16AndReturnsFloat32Gradients) {
  const Case c = make_case(40, 300, true);
  Case half = c;
  half.x = c.x.detach().to(at::kBFloat16).requires_grad_();
  const auto expected = test::gradients(half.loss(), at::ones({}), {half.x, half.head});
  ASSERT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const at::Tensor loss = c.loss(), losses = linear_cross_entropy_per_token(c.x, c.head, c.targets);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(loss.item<double>(), half.loss().item<double>());
  EXPECT_NEAR(losses.sum().item<double>() / 32, loss.item<double>(), 1e-5);
  EXPECT_EQ(losses.scalar_type(), at::kFloat);
  const auto gradients = test::gradients(loss, at::ones({}), {c.x, c.head});
  EXPECT_EQ(gradients[1].scalar_type(), at::kFloat);
  EXPECT_EQ(test::max_difference(gradients[0], expected[0]), 0);
  EXPECT_EQ(test::max_difference(gradients[1], expected[1]), 0);
}

constexpr CrossEntropyOptions kSettings[] = {{}, {.label_smoothing = 0.1}, {.z_loss = 1e-2}, {.label_smoothing = 1, .z_loss = 0.5}};

TEST(CrossEntropy, SmoothingAndZLossAreThePlainFormsInFloat64) {
  const Case c = make_case(11, 7, true, at::kDouble);
  for (const CrossEntropyOptions& options : kSettings) {
    const at::Tensor loss = linear_cross_entropy(c.x, c.head, c.targets, options);
    EXPECT_NEAR(loss.item<double>(), linear_cross_entropy_reference(c.x, c.head, c.targets, options).item<double>(), 1e-12);
    const at::Tensor losses = linear_cross_entropy_per_token(c.x, c.head, c.targets, options);
    EXPECT_NEAR(losses.sum().item<double>() / c.targets.ne(kIgnoredTarget).sum().item<double>(), loss.item<double>(), 1e-12);
    EXPECT_LT(test::gradient_error([&] { return linear_cross_entropy(c.x, c.head, c.targets, options); }, {c.x, c.head}), 1e-8);
  }
}

TEST(CrossEntropy, OnEveryPathIsWithinFloat32OfTheFloat64Form) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths())
    for (const int64_t vocab_size : {1, 7, 16, 33, 1000})
      for (const double size : {1.0, 100.0})  // 100: one target takes all
        for (const CrossEntropyOptions& options : kSettings) {
          set_cpu_path(path);
          const Case c = make_case(70, vocab_size, true);
          const at::Tensor x = (c.x.detach() * size).requires_grad_();
          const at::Tensor exact_x = x.detach().to(at::kDouble).requires_grad_();
          const at::Tensor exact_head = c.head.detach().to(at::kDouble).requires_grad_();
          const at::Tensor exact = linear_cross_entropy_reference(exact_x, exact_head, c.targets, options);
          const at::Tensor loss = linear_cross_entropy(x, c.head, c.targets, options);
          EXPECT_NEAR(loss.item<double>(), exact.item<double>(), 1e-6 * (1 + exact.item<double>()));
          const auto ours = test::gradients(loss, at::ones({}), {x, c.head});
          const auto truth = test::gradients(exact, at::ones({}, at::kDouble), {exact_x, exact_head});
          for (size_t i = 0; i < 2; ++i)
            EXPECT_LT(test::max_difference(ours[i], truth[i]), 1e-5 * size * truth[i].abs().max().item<double>() + 1e-7 * size)
                << name_of(path) << ' ' << vocab_size << ' ' << size << ' ' << i;
        }
}

TEST(CrossEntropy, ANaNInOneRowSpoilsThatRowsLossAndIsSeenInTheMean) {
  const Case c = make_case(20, 33, false);
  const at::Tensor x = c.x.detach().clone();
  x[3][2].fill_(NAN);
  const at::Tensor losses = linear_cross_entropy_per_token(x, c.head, c.targets);
  EXPECT_TRUE(std::isnan(losses[3].item<double>()));
  EXPECT_EQ(losses.isfinite().sum().item<int64_t>(), 19);
  EXPECT_TRUE(std::isnan(linear_cross_entropy(x, c.head, c.targets).item<double>()));
}

TEST(CrossEntropy, BitsDoNotDependOnTheThreads) {
  const int before = at::get_num_threads();
  std::vector<at::Tensor> results[2];
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const Case c = make_case(600, 2000, true);
    const at::Tensor loss = c.loss();
    results[threads - 1] = test::gradients(loss, at::ones({}), {c.x, c.head});
    results[threads - 1].push_back(loss);
  }
  at::set_num_threads(before);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
}

TEST(CrossEntropy, ItsBufferIsBoundedByRowsNotByTheBatch) {
  EXPECT_EQ(cross_entropy_buffer_bytes(8, 100), 4 * 8 * 100);
  EXPECT_EQ(cross_entropy_buffer_bytes(1 << 20, kLargeVocab), 4 * 512 * kLargeVocab);
  constexpr int64_t kRows = 4096;
  const Case c = make_case(kRows, kLargeVocab, true);
  const test::LiveBytes bytes;
  c.loss().backward();
  static_cast<void>(linear_cross_entropy_per_token(c.x, c.head, c.targets));
  const int64_t all_logits = 4 * kRows * kLargeVocab;
  EXPECT_LT(bytes.most(),
            cross_entropy_buffer_bytes(kRows, kLargeVocab) + all_logits / 16);  // besides it both gradients and rows of losses
}

TEST(CrossEntropy, RefusesWhatDoesNotFit) {
  const Case c = make_case(5, 7, false);
  EXPECT_THROW(linear_cross_entropy(c.x[0], c.head, c.targets), c10::ValueError);
  EXPECT_THROW(linear_cross_entropy(c.x, c.head.narrow(1, 0, 3), c.targets), c10::ValueError);
  EXPECT_THROW(linear_cross_entropy(c.x, c.head, c.targets.narrow(0, 0, 4)), c10::ValueError);
  EXPECT_THROW(linear_cross_entropy(c.x, c.head, c.targets.to(at::kInt)), c10::ValueError);
  for (const int64_t outside : {7, -2}) {
    const at::Tensor targets = c.targets.clone();
    targets[4].fill_(outside);
    EXPECT_THROW(linear_cross_entropy(c.x, c.head, targets), c10::ValueError);
    EXPECT_THROW(linear_cross_entropy_per_token(c.x, c.head, targets), c10::ValueError);
  }
  EXPECT_THROW(linear_cross_entropy(c.x, c.head, c.targets, {.label_smoothing = 1.5}), c10::ValueError);
  EXPECT_THROW(linear_cross_entropy(c.x, c.head, c.targets, {.z_loss = -1}), c10::ValueError);
}

}  // namespace
}  // namespace aot
