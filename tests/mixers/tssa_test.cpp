// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "tests/mixers/parameters.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

// Two tokens, two heads of one dimension along the axes, temperature 1, no bias. Squares: head 1 has 1, 9, head 2 has 4, 1.
//   token 0: both shares are 1, Pi = 1/2, 1/2;  m = 1, 4;  y = -1 (1/2) / 2, -2 (1/2) / 5
//   token 1: shares 9/10, 1/5, Pi = p, 1 - p with p = 1 / (1 + e^-0.7);
//            m_1 = (1/2 + 9 p) / (1/2 + p), m_2 = (4/2 + (1 - p)) / (1/2 + 1 - p);  y = -3 p / (1 + m_1), -(1 - p) / (1 + m_2)
TEST(TssaMixer, IsTwoTokensByHand) {
  const at::Tensor x = test::matrix({{1, 2}, {3, 1}}).unsqueeze(0), axes = test::matrix({{1, 0}, {0, 1}});
  const auto mixer = test::mixer_with(
      "tssa", {.width = 2, .heads = 2, .head_dim = 1, .context = 2},
      {{"u", axes}, {"temperature", at::ones({2}, at::kDouble)}, {"head_bias", at::zeros({2, 2}, at::kDouble)}, {"w_out", axes}});
  const double p = 1 / (1 + std::exp(-0.7)), first = (0.5 + 9 * p) / (0.5 + p), second = (2 + (1 - p)) / (1.5 - p);
  const at::Tensor wanted = test::matrix({{-0.25, -0.2}, {-3 * p / (1 + first), -(1 - p) / (1 + second)}});
  EXPECT_LT(test::max_difference(mixer->forward({.x = x})[0], wanted), 1e-7);  // the weights' sum has 1e-8 added
}

// Tokens act on each other through their squares only: a token of the other sign changes the sign of its own update and nothing else.
TEST(TssaMixer, ATokensSignIsItsOwnAffair) {
  for (const bool causal : {true, false}) {
    const MixerOptions options{.width = 10, .heads = 3, .head_dim = 4, .context = 7, .causal = causal};
    std::map<std::string, at::Tensor> numbers{
        {"u", test::normal({12, 10}, 1)}, {"temperature", test::normal({3}, 2)}, {"w_out", test::normal({10, 12}, 3)}};
    if (causal) numbers["head_bias"] = test::normal({3, 7}, 4);
    const MixerPtr mixer = test::mixer_with("tssa", options, numbers);
    const at::Tensor x = test::normal({2, 7, 10}, 5), sign = at::ones({1, 7, 1}, at::kDouble);
    sign.select(1, 3).fill_(-1);
    EXPECT_LT(test::max_difference(mixer->forward({.x = x * sign, .causal = causal}), mixer->forward({.x = x, .causal = causal}) * sign),
              1e-12);
  }
}

TEST(TssaMixer, ItsDecodeStateHasOneSizeForEveryLength) {
  at::Generator none;
  const MixerPtr mixer = make_mixer("tssa", {.width = 10, .heads = 3, .head_dim = 4, .context = 4096}, none);
  EXPECT_EQ(mixer->state_bytes(1, 1, 4), mixer->state_bytes(1, 4096, 4));
  EXPECT_EQ(mixer->make_state(1, 4096)->bytes(), (2 * 4 + 1) * 3 * 4);
}

}  // namespace
}  // namespace aot
