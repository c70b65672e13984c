// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "tests/mixers/parameters.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

// Two tokens, one head of one dimension: q = 1, 3; k = 2, 1; v = 3, 4, scale 1.
//   token 0 has scores 2, 1: 3 a + 4 (1 - a) with a = 1 / (1 + e^-1), and 3 when causal
//   token 1 has scores 6, 3: 3 b + 4 (1 - b) with b = 1 / (1 + e^-3)
// The head returns through (1, -2).
TEST(MhsaMixer, IsTwoTokensByHand) {
  const at::Tensor x = test::matrix({{1, 2}, {3, 1}}).unsqueeze(0);
  const auto mixer = test::mixer_with("mhsa", {.width = 2, .heads = 1, .head_dim = 1},
                                      {{"w_qkv", test::matrix({{1, 0}, {0, 1}, {1, 1}})}, {"w_out", test::matrix({{1}, {-2}})}});
  const double first = 4 - 1 / (1 + std::exp(-1.0)), second = 4 - 1 / (1 + std::exp(-3.0));
  EXPECT_LT(test::max_difference(mixer->forward({.x = x, .causal = false})[0], test::matrix({{first, -2 * first}, {second, -2 * second}})),
            1e-12);
  EXPECT_LT(test::max_difference(mixer->forward({.x = x})[0], test::matrix({{3, -6}, {second, -2 * second}})), 1e-12);
}

// A bias on keys adds the same number to all scores of a query, which softmax does not see.
TEST(MhsaMixer, IgnoresABiasOnKeysButNotOnQueries) {
  const MixerOptions options{.width = 10, .heads = 3, .head_dim = 4, .bias = true};
  const at::Tensor x = test::normal({2, 7, 10}, 1), zero = at::zeros({36}, at::kDouble);
  const auto update = [&](const at::Tensor& bias) {
    return test::mixer_with("mhsa", options,
                            {{"w_qkv", test::normal({36, 10}, 2)},
                             {"b_qkv", bias},
                             {"w_out", test::normal({10, 12}, 3)},
                             {"b_out", at::zeros({10}, at::kDouble)}})
        ->forward({.x = x});
  };
  at::Tensor on_queries = zero.clone(), on_keys = zero.clone();
  on_queries.narrow(0, 0, 12).fill_(1);
  on_keys.narrow(0, 12, 12).fill_(1);
  EXPECT_LT(test::max_difference(update(zero), update(on_keys)), 1e-10);
  EXPECT_GT(test::max_difference(update(zero), update(on_queries)), 1e-3);
}

}  // namespace
}  // namespace aot
