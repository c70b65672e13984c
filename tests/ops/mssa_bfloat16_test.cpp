// SPDX-License-Identifier: Apache-2.0
// Subspace attention in bfloat16, where weights may be rounded too: with the plain form's own bfloat16 error as the yardstick.
#include <algorithm>
#include <cmath>

#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/ops/mssa_cases.h"

namespace aot {
namespace {

using test::MssaCase;
using test::MssaResult;
using test::MssaShape;

constexpr double kHalfRounding = 1.0 / 512;

/// Error at most twice that of the plain form in bfloat16, or half a rounding of the largest number.
void expect_close(const MssaCase& c, const at::Tensor& a) {
  const MssaResult exact = plain_pass(c, a.to(at::kDouble)), rounded = plain_pass(c, a);
  const double most_out = test::allowed_difference(exact.out, rounded.out, kHalfRounding);
  const double most_gradient = test::allowed_difference(exact.gradient, rounded.gradient, kHalfRounding);
  test::on_every_path([&] {
    const MssaResult ours = kernel_pass(c, a);
    EXPECT_LE(test::max_difference(ours.out, exact.out), most_out) << "output, " << c.name();
    EXPECT_LE(test::max_difference(ours.gradient, exact.gradient), most_gradient) << "gradient, " << c.name();
  });
}

TEST(MssaBfloat16, IsAtMostTwiceAsFarAsThePlainForm) {
  for (const int64_t tokens : {1, 7, 33, 65, 197})
    for (const int64_t dim : {16, 24, 40, 64, 128})
      test::for_each_mask({.shape = {2, 4, tokens, dim}, .dtype = at::kBFloat16}, [](const MssaCase& c) { expect_close(c, c.tokens()); });
}

TEST(MssaBfloat16, HoldsThatForScoresOfEverySize) {
  for (const double score : {1, 10, 100, 1000})  // of a token with itself
    test::for_each_mask({.shape = {2, 4, 97, 64}, .size = std::sqrt(score), .dtype = at::kBFloat16},
                        [](const MssaCase& c) { expect_close(c, c.tokens()); });
}

TEST(MssaBfloat16, HoldsThatWhereTheGuardsFail) {
  for (const bool causal : {true, false}) {
    const MssaCase c{.shape = {2, 4, 70, 64}, .options = {.causal = causal}, .dtype = at::kBFloat16};
    const at::Tensor a = c.tokens().clone();
    a.select(2, 3).mul_(40);
    a.narrow(2, 4, 30).mul_(3);
    a.narrow(2, 40, 6).zero_();
    expect_close(c, a);
    test::on_every_path([&] {
      const MssaCounts before = mssa_counts();
      static_cast<void>(mssa_kernel_attention(a, nullptr, c.options));
      EXPECT_EQ(mssa_counts().fallbacks - before.fallbacks, 8) << c.name();
    });
  }
}

TEST(MssaBfloat16, ARowThatReadsOneTokenIsThatToken) {
  // Weights are rounded, and a single one still counts 1: alone, and where a token's score with itself is far above all others.
  for (const bool causal : {true, false})
    for (const MssaCase& shape :
         {MssaCase{.size = 1.8, .dtype = at::kBFloat16}, MssaCase{.shape = {.tokens = 50}, .size = 20, .dtype = at::kBFloat16}}) {
      MssaCase c = shape;
      c.options.causal = causal;
      const at::Tensor a = c.tokens();
      test::on_every_path([&] {
        const MssaResult ours = kernel_pass(c, a);
        EXPECT_TRUE(ours.out.equal(a)) << c.name();
        EXPECT_LT(test::max_difference(ours.gradient, c.d_out(at::kBFloat16)), 1e-3) << c.name();
      });
    }
}

TEST(MssaBfloat16, GivesTheSameBitsForEveryThreadCount) {
  const int before = at::get_num_threads();
  for (const MssaShape& shape : {MssaShape{1, 1, 700, 64}, MssaShape{3, 5, 65, 16}})
    test::for_each_mask({.shape = shape, .dtype = at::kBFloat16}, [&](const MssaCase& c) {
      const at::Tensor a = c.tokens();
      expect_close(c, a);
      test::on_every_path([&] {
        at::set_num_threads(1);
        const MssaResult one = kernel_pass(c, a);
        at::set_num_threads(2);
        const MssaResult two = kernel_pass(c, a);
        at::set_num_threads(before);
        EXPECT_TRUE(one.out.equal(two.out) && one.gradient.equal(two.gradient)) << c.name();
      });
    });
}

TEST(MssaBfloat16, ATokenThatReadsNothingGetsZero) {
  for (const bool causal : {true, false}) {
    const MssaCase c{
        .shape = {2, 4, 20, 64}, .options = {.causal = causal, .key_mask = at::zeros({2, 20}, at::kBool)}, .dtype = at::kBFloat16};
    c.options.key_mask[0].fill_(true);
    test::on_every_path([&] {
      const MssaResult ours = kernel_pass(c, c.tokens());
      EXPECT_FALSE(ours.out[1].any().item<bool>()) << c.name();
      EXPECT_FALSE(ours.gradient[1].any().item<bool>()) << c.name();
      EXPECT_TRUE(ours.out[0].any().item<bool>()) << c.name();
    });
  }
}

}  // namespace
}  // namespace aot
