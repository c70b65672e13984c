// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>

#include "tests/mixers/parameters.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

// Two tokens, two subspaces of one dimension along the axes, scale P^-1/2 = 1.
//   head 1: a = 1, 3    token 1 has scores 3, 9, weights w, 1 - w with w = 1 / (1 + e^6)
//   head 2: a = 2, 1    token 1 has scores 2, 1, weights v, 1 - v with v = 1 / (1 + e^-1)
// Token 0 reads itself. Heads of token 1: w + 3 (1 - w) and 2 v + (1 - v).
TEST(MssaMixer, IsTwoTokensByHand) {
  const at::Tensor x = test::matrix({{1, 2}, {3, 1}}).unsqueeze(0), axes = test::matrix({{1, 0}, {0, 1}});
  const double w = 1 / (1 + std::exp(6.0)), v = 1 / (1 + std::exp(-1.0)), first = 3 - 2 * w, second = 1 + v;
  MixerOptions options{.width = 2, .heads = 2, .head_dim = 1, .output = Output::tied};
  const at::Tensor tied = test::mixer_with("mssa", options, {{"u", axes}})->forward({.x = x});
  EXPECT_LT(test::max_difference(tied[0], test::matrix({{1, 2}, {first, second}})), 1e-12);

  options.output = Output::untied;  // returns through heads -> (heads 1 + 2, twice head 2)
  const auto untied = test::mixer_with("mssa", options, {{"u", axes}, {"w_out", test::matrix({{1, 1}, {0, 2}})}});
  EXPECT_LT(test::max_difference(untied->forward({.x = x})[0], test::matrix({{3, 4}, {first + second, 2 * second}})), 1e-12);
}

// Eq. (3) sees a subspace, not its basis: only U_k U_k^T enters.
TEST(MssaMixer, WhenTiedDependsOnTheSubspacesNotOnTheirBases) {
  const MixerOptions options{.width = 10, .heads = 3, .head_dim = 4, .output = Output::tied};
  const at::Tensor u = test::normal({3, 4, 10}, 1), turn = std::get<0>(at::linalg_qr(test::normal({3, 4, 4}, 2)));
  const at::Tensor x = test::normal({2, 7, 10}, 3);
  const auto update = [&](const at::Tensor& bases) {
    return test::mixer_with("mssa", options, {{"u", bases.reshape({12, 10})}})->forward({.x = x});
  };
  EXPECT_LT(test::max_difference(update(u), update(at::matmul(turn, u))), 1e-10);
  EXPECT_GT(test::max_difference(update(u), update(2 * u)), 1e-3);
}

}  // namespace
}  // namespace aot
