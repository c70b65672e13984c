// SPDX-License-Identifier: Apache-2.0
#include "aot/train/optimizer.h"

#include <cmath>
#include <limits>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"

namespace aot {
namespace {

struct Problem {
  Parameters parameters;
  std::vector<at::Tensor> gradients;
};

/// A vector, a matrix and a rank-3 tensor of awkward sizes, with gradients.
Problem make_problem(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  Problem out;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{7}, {5, 3}, {2, 3, 65}}) {
    const at::Tensor value = at::randn(shape, generator, at::kFloat);
    value.requires_grad_(true);
    out.gradients.push_back(at::randn(shape, generator, at::kFloat));
    value.mutable_grad() = out.gradients.back().clone();
    out.parameters.push_back({"p" + std::to_string(shape.size()), value});
  }
  return out;
}

at::Tensor filled(std::vector<int64_t> shape, double value) {
  return at::zeros(shape, at::kFloat).fill_(value);
}

TEST(AdamW, EqualsItsDefinitionInDoublePrecision) {
  Problem problem = make_problem(1);
  std::vector<std::vector<double>> w, m, v;
  for (const Parameter& parameter : problem.parameters) {
    const at::Tensor flat = parameter.value.detach().flatten().to(at::kDouble);
    w.emplace_back(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
    m.emplace_back(w.back().size(), 0.0);
    v.emplace_back(w.back().size(), 0.0);
  }
  AdamW optimizer(problem.parameters, {.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99});
  const double rates[] = {0.01, 0.02, 0.005, 0.01};
  for (int t = 1; t <= 4; ++t) {
    const double lr = rates[t - 1];
    for (size_t i = 0; i < w.size(); ++i) {
      const at::Tensor scaled = problem.gradients[i].mul(static_cast<double>(t));
      problem.parameters[i].value.mutable_grad() = scaled;
      const at::Tensor g = scaled.flatten().to(at::kDouble);
      const double decay = problem.parameters[i].value.dim() >= 2 ? 0.1 : 0.0;
      for (size_t j = 0; j < w[i].size(); ++j) {
        const double gj = g.data_ptr<double>()[j];
        m[i][j] = 0.9 * m[i][j] + 0.1 * gj;
        v[i][j] = 0.99 * v[i][j] + 0.01 * gj * gj;
        const double mean = m[i][j] / (1 - std::pow(0.9, t)), square = v[i][j] / (1 - std::pow(0.99, t));
        w[i][j] -= lr * decay * w[i][j];
        w[i][j] -= lr * mean / (std::sqrt(square) + 1e-8);
      }
    }
    optimizer.update(lr);
  }
  EXPECT_EQ(optimizer.steps(), 4);
  const Parameters moments = optimizer.moments();
  for (size_t i = 0; i < w.size(); ++i) {
    const at::Tensor got = problem.parameters[i].value.detach().flatten();
    const at::Tensor first = moments[2 * i].value.flatten(), second = moments[2 * i + 1].value.flatten();
    for (size_t j = 0; j < w[i].size(); ++j) {
      EXPECT_NEAR(got.data_ptr<float>()[j], w[i][j], 2e-6) << problem.parameters[i].name << " " << j;
      EXPECT_NEAR(first.data_ptr<float>()[j], m[i][j], 1e-5);
      EXPECT_NEAR(second.data_ptr<float>()[j], v[i][j], 1e-5);
    }
  }
}

TEST(AdamW, DecaysMatricesOnly) {
  Problem problem = make_problem(2);
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : problem.parameters) {
    parameter.value.mutable_grad().zero_();
    before.push_back(parameter.value.detach().clone());
  }
  AdamW(problem.parameters, {.weight_decay = 0.5}).update(0.1);
  EXPECT_TRUE(problem.parameters[0].value.equal(before[0]));
  EXPECT_TRUE(problem.parameters[1].value.allclose(before[1].mul(0.95), 1e-6));
  EXPECT_TRUE(problem.parameters[2].value.allclose(before[2].mul(0.95), 1e-6));
}

TEST(AdamW, DividesGradientsOnTheWay) {
  Problem divided = make_problem(3), plain = make_problem(3);
  for (const Parameter& parameter : plain.parameters) parameter.value.mutable_grad().div_(4);  // exact in binary
  AdamW(divided.parameters, {}).update(0.01, 4);
  AdamW(plain.parameters, {}).update(0.01);
  for (size_t i = 0; i < plain.parameters.size(); ++i) EXPECT_TRUE(divided.parameters[i].value.equal(plain.parameters[i].value));
}

TEST(AdamW, RefusesAParameterWithoutAGradient) {
  Problem problem = make_problem(4);
  AdamW optimizer(problem.parameters, {});
  optimizer.drop_gradients();
  EXPECT_FALSE(problem.parameters[0].value.grad().defined());
  EXPECT_THROW(optimizer.update(0.1), c10::Error);
}

TEST(GradientNorm, IsThatOfAllGradientsTogether) {
  const at::Tensor a = filled({2}, 0), b = filled({1, 2}, 0);
  a.mutable_grad() = filled({2}, 3);
  b.mutable_grad() = filled({1, 2}, 4);
  EXPECT_DOUBLE_EQ(gradient_norm({{"a", a}, {"b", b}}), std::sqrt(2 * 9.0 + 2 * 16.0));
}

TEST(GradientNorm, DoesNotOverflowWhereTheGradientIsFinite) {
  const at::Tensor a = filled({3}, 0);
  a.mutable_grad() = filled({3}, 1e30);
  EXPECT_NEAR(gradient_norm({{"a", a}}) / (1e30 * std::sqrt(3.0)), 1.0, 1e-6);
}

TEST(GradientNorm, IsTheSameForAnyThreadCount) {
  at::Generator generator = make_generator(5);
  const at::Tensor a = filled({100'003}, 0);
  a.mutable_grad() = at::randn({100'003}, generator, at::kFloat);
  const int threads = at::get_num_threads();
  const double norm = gradient_norm({{"a", a}});
  at::set_num_threads(1);
  EXPECT_EQ(gradient_norm({{"a", a}}), norm);
  at::set_num_threads(threads);
}

TEST(GradientNorm, ShowsAndNamesWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Problem problem = make_problem(6);
    problem.parameters[2].value.mutable_grad().flatten()[389].fill_(bad);
    EXPECT_FALSE(std::isfinite(gradient_norm(problem.parameters)));
    EXPECT_EQ(first_non_finite_gradient(problem.parameters), "p3");
  }
  const Problem sound = make_problem(6);
  EXPECT_EQ(first_non_finite_gradient(sound.parameters), "");
}

}  // namespace
}  // namespace aot
