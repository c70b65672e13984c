// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/probe_measures.h"

#include <cmath>
#include <numbers>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/div.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_slogdet.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/theory/bases.h"
#include "aot/theory/fits.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

TEST(ProbeMeasures, PlantedTokensHaveTheSnrAndTheHeadsThatTheyWereMadeWith) {
  const TokenSample sample = sample_tokens({.tokens = 96, .heads = 3, .head_dim = 8, .width = 30, .delta = 0.1}, 4);
  HeadSnr snr(sample.truth);
  // In pieces that cut through clusters; signals three times as large after the layer.
  at::Tensor after = sample.z.clone();
  for (int64_t k = 0; k < 3; ++k) {
    at::Tensor rows = after.narrow(0, sample.first_row(k), 32);
    const at::Tensor u = sample.truth.basis(k);
    rows += 2 * at::matmul(at::matmul(rows, u), u.t());
  }
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 7}, {7, 64}, {71, 25}}) {
    const at::Tensor own = snr.add(sample.z.narrow(0, first, count), after.narrow(0, first, count));
    EXPECT_TRUE(own.equal(at::arange(first, first + count).div(32, "floor")));
  }
  const TokenMeasures wanted = measure_tokens(sample.z, sample);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(snr.tokens()[k], 32);
    EXPECT_NEAR(snr.before()[k].signal, wanted.clusters[k].signal, 1e-12 * wanted.clusters[k].signal);
    EXPECT_NEAR(snr.before()[k].noise, wanted.clusters[k].noise, 1e-12 * wanted.clusters[k].noise);
    EXPECT_NEAR(snr_ratio(snr.before()[k], snr.after()[k]), 3, 1e-12);
  }
  EXPECT_NEAR(pooled(snr.before()).size, sample.z.norm().item<double>(), 1e-10);
}

TEST(ProbeMeasures, TokensInsideASubspaceHaveNoNoise) {
  const Subspaces axes{.columns = at::eye(6, at::kDouble).narrow(1, 0, 4), .dims = {2, 2}};
  HeadSnr snr(axes);
  const at::Tensor z = at::tensor({3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0}, at::kDouble).view({2, 6});
  snr.add(z, z + at::full({2, 6}, 0.0, at::kDouble));
  EXPECT_GT(snr.before()[0].snr(), 1e7);
  EXPECT_EQ(snr.before()[0].signal, 5);
  EXPECT_EQ(snr.before()[1].signal, 2);
}

TEST(ProbeMeasures, BasesAreMadeOrthonormalWithoutChangingTheirSpan) {
  const at::Tensor u = test::normal({12, 10}, 3);  // three heads of 4 in 10 directions: they overlap
  const Subspaces q = orthonormal_heads(u, 3);
  EXPECT_LT(orthonormality_error(q), 1e-14);
  for (int64_t k = 0; k < 3; ++k) {
    const at::Tensor basis = u.narrow(0, 4 * k, 4).t();
    EXPECT_LT(test::max_difference(at::matmul(q.basis(k), at::matmul(q.basis(k).t(), basis)), basis), 1e-13);
  }
}

TEST(ProbeMeasures, RandomBasesWithoutAChoiceOfHeadHaveTheChanceSnr) {
  // One head: nothing is chosen. The share of a token's energy in p random directions of D has mean p / D.
  const at::Tensor z = test::normal({4000, 48}, 1);
  for (const int64_t dim : {3, 12, 40}) {
    HeadSnr snr(random_heads(1, dim, 48, 7));
    snr.add(z, z);
    EXPECT_NEAR(snr.before()[0].snr() / chance_snr(dim, 48), 1, 0.03) << dim;
  }
  HeadSnr chosen(random_heads(6, 8, 48, 7));
  chosen.add(z, z);
  EXPECT_GT(pooled(chosen.before()).snr(), 1.15 * chance_snr(8, 48));  // the argmax raises it
}

TEST(ProbeMeasures, GradientOfTheCodingRateIsAutogradsAndThatOfFiniteDifferences) {
  const Subspaces q = random_heads(3, 4, 10, 5);
  const double eps_squared = 0.3;
  at::Tensor z = test::normal({7, 10}, 2).requires_grad_(true);
  const auto rate = [&] {
    at::Tensor sum = at::full({}, 0.0, at::kDouble);
    for (int64_t k = 0; k < 3; ++k) {
      const at::Tensor a = at::matmul(z, q.basis(k));
      sum = sum + 0.5 * std::get<1>(at::linalg_slogdet(at::eye(4, at::kDouble) + 4 / (7 * eps_squared) * at::matmul(a.t(), a)));
    }
    return sum;
  };
  const at::Tensor gradient = coding_rate_gradient(z.detach(), q, eps_squared);
  EXPECT_LT(test::max_difference(gradient, test::gradients(rate(), at::full({}, 1.0, at::kDouble), {z})[0]), 1e-12);
  EXPECT_LT(test::gradient_error(rate, {z}), 1e-7);
  double spectra = 0;  // and the rate is the one that the room measures
  for (int64_t k = 0; k < 3; ++k) spectra += coding_rate(gram_spectrum(at::matmul(z.detach(), q.basis(k))), 7, 4, eps_squared);
  EXPECT_NEAR(rate().item<double>(), spectra, 1e-10);
}

TEST(ProbeMeasures, OverlapOfHeadsIsTheirPrincipalAngles) {
  const Subspaces apart = random_subspaces({5, 5, 5}, 20, 1);
  EXPECT_NEAR(head_overlap(apart).largest, 0, 1e-12);
  EXPECT_NEAR(head_overlap(apart).median_angle, 90, 1e-9);
  const double degree = std::numbers::pi / 180;
  const HeadOverlap angled = head_overlap(with_angles(apart, {80 * degree, 70 * degree, 60 * degree, 75 * degree, 85 * degree}));
  EXPECT_NEAR(angled.largest, 0.5, 1e-9);
  EXPECT_NEAR(angled.mean, 0.5, 1e-9);
  EXPECT_NEAR(angled.median_angle, 75, 1e-6);
  EXPECT_NEAR(head_overlap({.columns = at::cat({apart.basis(0), apart.basis(0)}, 1), .dims = {5, 5}}).largest, 1, 1e-12);
  EXPECT_EQ(head_overlap({.columns = apart.basis(0), .dims = {5}}).largest, 0);
}

TEST(ProbeMeasures, AttentionOfKnownWeights) {
  AttentionSums sums(2);
  const at::Tensor self = at::eye(4, at::kFloat), even = at::full({4, 4}, 0.25, at::kFloat);
  sums.add(at::cat({self, even}).view({1, 2, 4, 4}));
  sums.add(at::cat({self, self}).view({1, 2, 4, 4}));
  EXPECT_NEAR(sums.own_mass()[0], 1, 1e-12);
  EXPECT_NEAR(sums.own_mass()[1], 0.625, 1e-12);
  EXPECT_EQ(sums.entropy()[0], 0);
  EXPECT_NEAR(sums.entropy()[1], std::log(4.0) / 2, 1e-6);
}

TEST(ProbeMeasures, WhatGoesAcrossATokenIsOrthogonalToIt) {
  const at::Tensor z = test::normal({5, 8}, 1), step = test::normal({5, 8}, 2);
  EXPECT_LT((across(step, z) * z).sum(1).abs().max().item<double>(), 1e-13);
  EXPECT_LT(across(3 * z, z).abs().max().item<double>(), 1e-13);
  EXPECT_NEAR(cosine(step, -2 * step), -1, 1e-14);
  EXPECT_EQ(cosine(step, 0 * step), 0);
}

std::vector<double> steps_of(const std::vector<double>& y, double a, double b) {
  std::vector<double> out;
  for (const double value : y) out.push_back(a * value / std::sqrt(value * value + b));
  return out;
}

TEST(StepLaws, RecoverWhatWasPlantedAndTellTheLawsApart) {
  const std::vector<double> y = {0.4, 2.1, 0.9, 1.4, 3.0, 0.6};
  const std::vector<double> steps = steps_of(y, 0.3, 0.9);
  const Fit law = fit_prenorm_steps(y, steps);
  EXPECT_NEAR(law.a, 0.3, 1e-6);
  EXPECT_NEAR(law.b, 0.9, 1e-5);
  EXPECT_LT(law.rms, 1e-8);
  EXPECT_GT(fit_ratio_steps(y, steps).rms, 0.02);
  EXPECT_GT(fit_constant_steps(steps).rms, 0.02);

  std::vector<double> ratio;
  for (const double value : y) ratio.push_back(0.09 * value);
  EXPECT_NEAR(fit_ratio_steps(y, ratio).a, 0.09, 1e-12);
  EXPECT_LT(fit_ratio_steps(y, ratio).rms, 1e-12);
  EXPECT_GT(fit_constant_steps(ratio).rms, 0.05);
  EXPECT_NEAR(fit_constant_steps({-0.2, -0.2, -0.2}).a, -0.2, 1e-12);
  EXPECT_NEAR(fit_prenorm_steps(y, steps_of(y, -0.3, 0.9)).a, -0.3, 1e-6);  // falling SNR is a law with a below 0
}

}  // namespace
}  // namespace aot
