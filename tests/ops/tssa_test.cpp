// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/tssa.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kBatch = 2, kHeads = 3, kDim = 5, kContext = 70;

struct Case {
  at::Tensor w;
  at::Tensor temperature = test::normal({kHeads}, 2).abs() + 0.5;
  at::Tensor bias = test::normal({kHeads, kContext}, 3);
};

Case make_case(int64_t tokens) {
  Case c;
  c.w = test::normal({kBatch, tokens, kHeads, kDim}, 1).transpose(1, 2);
  return c;
}

/// The formula of ops/tssa.h with loops over every index. `real` may be undefined.
at::Tensor by_loops(const Case& c, bool causal, const at::Tensor& real) {
  const int64_t tokens = c.w.size(2);
  const at::Tensor contiguous = c.w.detach().contiguous();
  const auto w = contiguous.accessor<double, 4>();
  const auto temperature = c.temperature.accessor<double, 1>();
  const auto bias = c.bias.accessor<double, 2>();
  const auto is_real = [&](int64_t b, int64_t t) { return !real.defined() || real[b][t].item<bool>(); };
  at::Tensor out = at::zeros({kBatch, kHeads, tokens, kDim}, at::kDouble);
  auto y = out.accessor<double, 4>();
  for (int64_t b = 0; b < kBatch; ++b) {
    const auto last = [&](int64_t t) { return causal ? t : tokens - 1; };  // of the tokens that t reads
    std::vector<std::vector<double>> pi(static_cast<size_t>(tokens), std::vector<double>(kHeads));
    for (int64_t t = 0; t < tokens; ++t) {
      double total = 0;
      for (int64_t k = 0; k < kHeads; ++k) {
        double score = 0;
        for (int64_t p = 0; p < kDim; ++p) {
          double s = 0;
          for (int64_t j = 0; j <= last(t); ++j) s += is_real(b, j) ? w[b][k][j][p] * w[b][k][j][p] : 0;
          score += (is_real(b, t) ? w[b][k][t][p] * w[b][k][t][p] : 0) / std::max(s, 1e-12) + (causal ? bias[k][t] : 0);
        }
        total += pi[t][k] = std::exp(temperature[k] * score);
      }
      for (double& share : pi[t]) share = is_real(b, t) ? share / total : 0;
    }
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t k = 0; k < kHeads; ++k)
        for (int64_t p = 0; p < kDim; ++p) {
          double sum = 0, weight = 1e-8;
          for (int64_t j = 0; j <= last(t); ++j) {
            sum += is_real(b, j) ? pi[j][k] * w[b][k][j][p] * w[b][k][j][p] : 0;
            weight += pi[j][k];
          }
          y[b][k][t][p] = is_real(b, t) ? -w[b][k][t][p] * pi[t][k] / (1 + sum / weight) : 0;
        }
  }
  return out;
}

at::Tensor padding(int64_t tokens) {
  at::Tensor real = at::ones({kBatch, tokens}, at::kBool);
  real[1].narrow(0, 0, (tokens + 2) / 3).fill_(false);
  real[1][tokens - 1].fill_(false);
  return real;
}

TEST(Tssa, IsItsFormula) {
  for (const bool causal : {true, false})
    for (const int64_t tokens : {1, 7, 63, 65})
      for (const at::Tensor& real : {at::Tensor(), padding(tokens)}) {
        const Case c = make_case(tokens);
        const at::Tensor y = tssa(c.w, c.temperature, c.bias, {.causal = causal, .key_mask = real}), wanted = by_loops(c, causal, real);
        EXPECT_LT(test::max_difference(y, wanted), 1e-12) << "T " << tokens << " causal " << causal << " masked " << real.defined();
        const at::Tensor single =
            tssa(c.w.to(at::kFloat), c.temperature.to(at::kFloat), c.bias.to(at::kFloat), {.causal = causal, .key_mask = real});
        EXPECT_LT(test::max_difference(single, wanted), test::tolerance(at::kFloat));
      }
}

TEST(Tssa, GradientsEqualFiniteDifferences) {
  for (const bool causal : {true, false})
    for (const at::Tensor& real : {at::Tensor(), padding(5)}) {
      const at::Tensor w = test::normal({kBatch, kHeads, 5, kDim}, 1).requires_grad_(),
                       bias = test::normal({kHeads, 6}, 3).requires_grad_(),
                       temperature = (test::normal({kHeads}, 2).abs() + 0.5).requires_grad_();
      EXPECT_LT(
          test::gradient_error([&] { return tssa(w, temperature, bias, {.causal = causal, .key_mask = real}); }, {w, temperature, bias}),
          1e-7)
          << "causal " << causal << " masked " << real.defined();
    }
}

TEST(Tssa, StepsOfAnySizeEqualOnePass) {
  const Case c = make_case(65);
  const at::Tensor whole = tssa(c.w, c.temperature, c.bias, {});
  for (const int64_t chunk : {1, 3, 16, 64, 65}) {
    TssaState state{.square = at::zeros({kBatch, kHeads, kDim}, at::kDouble),
                    .weighted_square = at::zeros({kBatch, kHeads, kDim}, at::kDouble),
                    .weight = at::zeros({kBatch, kHeads}, at::kDouble)};
    std::vector<at::Tensor> parts;
    for (int64_t t = 0; t < 65; t += chunk)
      parts.push_back(tssa_step(c.w.narrow(2, t, std::min<int64_t>(chunk, 65 - t)), c.temperature, c.bias, t, state));
    EXPECT_LT(test::max_difference(at::cat(parts, 2), whole), 1e-12) << "chunks of " << chunk;
    EXPECT_LT(test::max_difference(state.square, c.w.square().sum(2)), 1e-10);
  }
}

TEST(Tssa, PaddingThatIsNotFiniteReachesNeitherOutputNorGradient) {
  for (const bool causal : {true, false}) {
    Case c = make_case(7);
    const at::Tensor real = padding(7), hidden = real.logical_not().view({kBatch, 1, 7, 1});
    const at::Tensor w = c.w.masked_fill(hidden, std::nan("")).requires_grad_();
    const at::Tensor y = tssa(w, c.temperature, c.bias, {.causal = causal, .key_mask = real});
    EXPECT_EQ(y.masked_select(hidden).abs().max().item<double>(), 0);
    EXPECT_TRUE(y.isfinite().all().item<bool>());
    EXPECT_TRUE(test::gradients(y, test::normal(y.sizes(), 4), {w})[0].isfinite().all().item<bool>());
  }
}

TEST(Tssa, TokensOfZerosGiveZeros) {
  Case c = make_case(7);
  for (const bool causal : {true, false}) {
    const at::Tensor zero = at::zeros_like(c.w).requires_grad_(), y = tssa(zero, c.temperature, c.bias, {.causal = causal});
    EXPECT_EQ(y.abs().max().item<double>(), 0);
    EXPECT_TRUE(test::gradients(y, test::normal(y.sizes(), 4), {zero})[0].isfinite().all().item<bool>());
  }
}

TEST(Tssa, RefusesMoreTokensThanTheContextAndWrongShapes) {
  const Case c = make_case(9);
  const at::Tensor narrow = c.bias.narrow(1, 0, 8);
  EXPECT_THROW(tssa(c.w, c.temperature, narrow, {}), c10::ValueError);
  EXPECT_THROW(tssa(c.w[0], c.temperature, c.bias, {}), c10::ValueError);
  EXPECT_THROW(tssa(c.w, c.temperature.narrow(0, 0, 2), c.bias, {}), c10::ValueError);
  TssaState state{.square = at::zeros({kBatch, kHeads, kDim}, at::kDouble),
                  .weighted_square = at::zeros({kBatch, kHeads, kDim}, at::kDouble),
                  .weight = at::zeros({kBatch, kHeads}, at::kDouble)};
  EXPECT_THROW(tssa_step(c.w, c.temperature, narrow, 0, state), c10::ValueError);
}

}  // namespace
}  // namespace aot
