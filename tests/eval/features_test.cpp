// SPDX-License-Identifier: Apache-2.0
// Nearest neighbours and the linear probe, on features made here.
#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/eval/linear_probe.h"
#include "aot/eval/nearest_neighbours.h"

namespace aot {
namespace {

/// Classes around random centres, `spread` apart from them in each of 6 dimensions of very different units.
PictureFeatures clusters(int64_t count, int64_t classes, double spread, uint64_t seed) {
  at::Generator centres = make_generator(99), random = make_generator(seed);
  const at::Tensor centre = at::normal(0, 1, {classes, 6}, centres, at::TensorOptions(at::kDouble));
  PictureFeatures out;
  out.labels = at::randint(classes, {count}, random, at::TensorOptions(at::kLong));
  const at::Tensor noise = at::normal(0, spread, {count, 6}, random, at::TensorOptions(at::kDouble));
  const at::Tensor units = at::tensor({1., 100., .01, 5., 1., 1.}, at::kDouble);
  out.features = ((centre.index_select(0, out.labels) + noise) * units + 3 * units).to(at::kFloat);
  return out;
}

/// The protocol of the header, picture by picture.
double plain_top1(const PictureFeatures& train, const PictureFeatures& val, int64_t classes, const NeighbourOptions& options) {
  int64_t right = 0;
  const int64_t held = train.labels.size(0), count = val.labels.size(0);
  const auto cosine = [&](int64_t i, int64_t j) {
    const at::Tensor a = val.features[i].to(at::kDouble), b = train.features[j].to(at::kDouble);
    return (a * b).sum().item<double>() / (a.norm() * b.norm()).item<double>();
  };
  for (int64_t i = 0; i < count; ++i) {
    std::vector<std::pair<double, int64_t>> all;
    for (int64_t j = 0; j < held; ++j) all.emplace_back(-cosine(i, j), train.labels[j].item<int64_t>());
    std::sort(all.begin(), all.end());
    std::vector<double> votes(static_cast<size_t>(classes));
    for (int64_t n = 0; n < std::min(options.neighbours, held); ++n)
      votes[static_cast<size_t>(all[static_cast<size_t>(n)].second)] += std::exp(-all[static_cast<size_t>(n)].first / options.temperature);
    right += std::max_element(votes.begin(), votes.end()) - votes.begin() == val.labels[i].item<int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(count);
}

TEST(Neighbours, VoteAsTheProtocolSays) {
  const PictureFeatures train = clusters(65, 7, .8, 1), val = clusters(63, 7, .8, 2);
  for (const NeighbourOptions& options : {NeighbourOptions{}, {.neighbours = 1}, {.neighbours = 200, .temperature = 1}}) {
    const PictureScore score = score_neighbours(train, val, 7, options).value();
    EXPECT_DOUBLE_EQ(score.top1, plain_top1(train, val, 7, options)) << options.neighbours;
    EXPECT_EQ(score.count, 63);
    EXPECT_GE(*score.top5, score.top1);
  }
}

TEST(Neighbours, AreNearestByAngleNotByLength) {
  PictureFeatures train, val;
  train.features = at::tensor({10.F, 1.F, 0.F, .1F}).view({2, 2});  // the first lies far out along the second picture's neighbour
  train.labels = at::tensor({0, 1}, at::kLong);
  val.features = at::tensor({1.F, 0.F, 0.F, 50.F}).view({2, 2});
  val.labels = at::tensor({0, 1}, at::kLong);
  EXPECT_DOUBLE_EQ(score_neighbours(train, val, 2, {.neighbours = 1})->top1, 1);
  EXPECT_DOUBLE_EQ(score_neighbours(train, val, 2)->top1, 1) << "fewer training pictures than k";
}

/// The objective of the header for features at mean 0 and deviation 1, divided by N, and its gradient by autograd.
std::pair<double, double> objective_at(const LinearProbe& probe, const PictureFeatures& data, double penalty) {
  const at::Tensor raw = data.features.to(at::kDouble), mean = raw.mean(0), deviation = (raw - mean).square().mean(0).sqrt();
  const at::Tensor x = (raw - mean) / deviation;
  const at::Tensor w = (probe.weight * deviation).detach().requires_grad_();
  const at::Tensor b = (probe.bias + at::matmul(probe.weight, mean)).detach().requires_grad_();
  const auto n = static_cast<double>(x.size(0));
  const at::Tensor value = at::cross_entropy_loss(at::matmul(x, w.t()) + b, data.labels) + penalty / (2 * n) * w.square().sum();
  value.backward();
  return {value.item<double>(), std::max(w.grad().abs().max().item<double>(), b.grad().abs().max().item<double>())};
}

TEST(LinearProbe, EndsWhereTheGradientIsZero) {
  for (const double penalty : {1., 100.}) {
    const PictureFeatures train = clusters(200, 4, 1, 1);
    const LinearProbe probe = fit_linear_probe(train, 4, {.penalty = penalty}).value();
    EXPECT_TRUE(probe.converged);
    const auto [value, gradient] = objective_at(probe, train, penalty);
    EXPECT_NEAR(value, probe.objective, 1e-9);
    EXPECT_LT(gradient, 2e-6);
    // Convex: every other place is higher.
    for (uint64_t seed = 0; seed < 5; ++seed) {
      LinearProbe other = probe;
      at::Generator random = make_generator(seed);
      other.bias = probe.bias + at::normal(0, .1, {4}, random, at::TensorOptions(at::kDouble));
      EXPECT_GT(objective_at(other, train, penalty).first, value);
    }
  }
}

TEST(LinearProbe, TwoClassesInOneDimensionByHand) {
  // x = -1, +1 with labels 0, 1: by symmetry W = (-w, w), b = 0, and d/dw of 2 log(1 + exp(-2 w)) + lambda w^2 is 0.
  PictureFeatures train;
  train.features = at::tensor({-1.F, 1.F}).view({2, 1});
  train.labels = at::tensor({0, 1}, at::kLong);
  const LinearProbe probe = fit_linear_probe(train, 2, {.penalty = 1, .tolerance = 1e-10}).value();
  const double w = probe.weight[1][0].item<double>();
  EXPECT_NEAR(2 * w - 4 / (1 + std::exp(2 * w)), 0, 1e-8);
  EXPECT_NEAR(probe.weight[0][0].item<double>(), -w, 1e-8);
  EXPECT_NEAR(probe.bias.abs().max().item<double>(), 0, 1e-8);
}

TEST(LinearProbe, DoesNotDependOnUnitsAndBearsAFeatureThatNeverChanges) {
  PictureFeatures train = clusters(120, 3, 1, 1), val = clusters(90, 3, 1, 2);
  const PictureScore before = score_linear_probe(fit_linear_probe(train, 3).value(), val);
  EXPECT_GT(before.top1, .6);
  for (PictureFeatures* part : {&train, &val}) {
    const at::Tensor f = part->features;
    part->features = at::cat({f * 7 - 2, at::full_like(f.narrow(1, 0, 1), 4)}, 1);
  }
  const PictureScore after = score_linear_probe(fit_linear_probe(train, 3).value(), val);
  EXPECT_EQ(after.top1, before.top1);
  EXPECT_NEAR(*after.loss, *before.loss, 1e-4);
}

TEST(LinearProbe, StopsAtItsIterationsAndSaysSo) {
  const LinearProbe probe = fit_linear_probe(clusters(200, 4, 1, 1), 4, {.iterations = 2}).value();
  EXPECT_EQ(probe.iterations, 2);
  EXPECT_FALSE(probe.converged);
}

}  // namespace
}  // namespace aot
