// SPDX-License-Identifier: Apache-2.0
#include "aot/train/optimizer.h"

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/kernels/cpu/adamw.h"
#include "tests/kernels/paths.h"

namespace aot {
namespace {

struct Problem {
  Parameters parameters;
  std::vector<at::Tensor> gradients;

  /// Adds the gradients, times `factor`, as a backward pass does.
  void backward(double factor = 1) const {
    for (size_t i = 0; i < gradients.size(); ++i) parameters[i].value.mutable_grad().add_(gradients[i], factor);
  }
};

/// A vector, a matrix and a rank-3 tensor of awkward sizes, and gradients for them.
Problem make_problem(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  Problem out;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{7}, {5, 3}, {2, 3, 65}}) {
    const at::Tensor value = at::randn(shape, generator, at::kFloat);
    value.requires_grad_(true);
    out.gradients.push_back(at::randn(shape, generator, at::kFloat));
    out.parameters.push_back({"p" + std::to_string(shape.size()), value});
  }
  return out;
}

/// The norm of one gradient.
double norm_of(const at::Tensor& gradient) {
  const at::Tensor value = at::zeros(gradient.sizes(), at::kFloat);
  const AdamW optimizer({{"a", value}}, {});
  value.mutable_grad().copy_(gradient);
  return optimizer.gradient_norm();
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
      problem.parameters[i].value.mutable_grad().add_(scaled);  // to the zeros that the last update left
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
  for (const Parameter& parameter : problem.parameters) before.push_back(parameter.value.detach().clone());
  AdamW(problem.parameters, {.weight_decay = 0.5}).update(0.1);  // no gradient but decay
  EXPECT_TRUE(problem.parameters[0].value.equal(before[0]));
  EXPECT_TRUE(problem.parameters[1].value.allclose(before[1].mul(0.95), 1e-6));
  EXPECT_TRUE(problem.parameters[2].value.allclose(before[2].mul(0.95), 1e-6));
}

TEST(AdamW, DividesGradientsOnTheWay) {
  Problem divided = make_problem(3), plain = make_problem(3);
  AdamW with_divisor(divided.parameters, {}), without(plain.parameters, {});
  divided.backward();
  plain.backward(0.25);  // exact in binary
  with_divisor.update(0.01, 4);
  without.update(0.01);
  for (size_t i = 0; i < plain.parameters.size(); ++i) EXPECT_TRUE(divided.parameters[i].value.equal(plain.parameters[i].value));
}

/// Sizes around a register, a block and the threads' shares.
Parameters awkward_parameters(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  Parameters out;
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{1}, {17}, {3, 5}, {8192}, {kOptimizerBlock + 1}, {130, 1009}, {0, 4}, {1, kOptimizerBlock - 1}})
    out.push_back({"p" + std::to_string(out.size()), at::randn(shape, generator, at::kFloat)});
  return out;
}

void set_gradients(const Parameters& parameters, uint64_t seed) {
  at::Generator generator = make_generator(seed);
  for (const Parameter& parameter : parameters)
    parameter.value.mutable_grad().copy_(at::randn(parameter.value.sizes(), generator, at::kFloat));
}

TEST(AdamW, IsLibTorchsFusedOperatorOnEveryPathAndAsExact) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    const Parameters ours = awkward_parameters(11);
    std::vector<at::Tensor> values, first, second;
    for (const Parameter& parameter : ours) {
      values.push_back(parameter.value.clone());
      first.push_back(at::zeros_like(parameter.value));
      second.push_back(at::zeros_like(parameter.value));
    }
    AdamW optimizer(ours, {.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99});
    for (int64_t step = 1; step <= 5; ++step) {
      set_gradients(ours, static_cast<uint64_t>(step));
      for (size_t i = 0; i < values.size(); ++i)
        at::_fused_adamw_({values[i]}, {ours[i].value.grad()}, {first[i]}, {second[i]}, {}, {at::full({}, static_cast<double>(step))}, 0.01,
                          0.9, 0.99, ours[i].value.dim() >= 2 ? 0.1 : 0, 1e-8, false, false, at::full({}, 3.0));
      // LibTorch writes the divided gradient back.
      for (const Parameter& parameter : ours) parameter.value.mutable_grad().mul_(3.0);
      optimizer.update(0.01, 3);
    }
    const Parameters moments = optimizer.moments();
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_TRUE(ours[i].value.allclose(values[i], 1e-5, 1e-6)) << name_of(path) << " " << ours[i].name;
      EXPECT_TRUE(moments[2 * i].value.allclose(first[i], 1e-5, 1e-6)) << name_of(path) << " " << ours[i].name;
      EXPECT_TRUE(moments[2 * i + 1].value.allclose(second[i], 1e-5, 1e-7)) << name_of(path) << " " << ours[i].name;
    }
  }
}

TEST(AdamW, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  std::vector<Parameters> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    Parameters parameters = awkward_parameters(12);
    AdamW optimizer(parameters, {});
    for (uint64_t step = 0; step < 3; ++step) {
      set_gradients(parameters, step);
      optimizer.update(0.01, optimizer.gradient_norm());
    }
    results.push_back(std::move(parameters));
  }
  at::set_num_threads(threads);
  for (size_t i = 0; i < results[0].size(); ++i)
    for (size_t other = 1; other < results.size(); ++other) EXPECT_TRUE(results[other][i].value.equal(results[0][i].value)) << i;
}

TEST(AdamW, GoesOnFromItsMomentsToTheBit) {
  const Parameters whole = awkward_parameters(13), parted = awkward_parameters(13);
  AdamW straight(whole, {});
  auto stopped = std::make_unique<AdamW>(parted, AdamWOptions{});
  for (uint64_t step = 0; step < 6; ++step) {
    if (step == 3) {
      std::vector<at::Tensor> saved;
      for (const Parameter& moment : stopped->moments()) saved.push_back(moment.value.clone());
      stopped = std::make_unique<AdamW>(parted, AdamWOptions{});
      stopped->set_steps(3);
      const Parameters moments = stopped->moments();
      for (size_t i = 0; i < saved.size(); ++i) moments[i].value.copy_(saved[i]);
    }
    set_gradients(whole, step);
    set_gradients(parted, step);
    straight.update(0.01);
    stopped->update(0.01);
  }
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(whole[i].value.equal(parted[i].value)) << whole[i].name;
}

TEST(AdamW, LeavesGradientsOfZeroThatBackwardPassesAddTo) {
  const at::Tensor weight = at::randn({3, 5}, at::kFloat).requires_grad_();
  AdamW optimizer({{"w", weight}}, {});
  const void* buffer = weight.grad().const_data_ptr();
  for (int step = 0; step < 2; ++step) {
    weight.mul(2).sum().backward();
    weight.mul(3).sum().backward();
    EXPECT_EQ(weight.grad().const_data_ptr(), buffer);
    EXPECT_TRUE(weight.grad().eq(5).all().item<bool>());
    optimizer.update(0.1);
    EXPECT_TRUE(weight.grad().eq(0).all().item<bool>());
  }
  weight.sum().backward();
  optimizer.zero_gradients();
  EXPECT_TRUE(weight.grad().eq(0).all().item<bool>());
}

TEST(AdamW, RefusesATensorPutInThePlaceOfOneOfItsViews) {
  for (const bool gradient : {true, false}) {
    Problem problem = make_problem(4);
    AdamW optimizer(problem.parameters, {});
    const at::Tensor value = problem.parameters[1].value;
    if (gradient)
      value.mutable_grad() = at::Tensor();
    else
      value.set_data(value.detach().clone());
    EXPECT_THROW(optimizer.update(0.1), c10::Error);
    EXPECT_EQ(optimizer.steps(), 0);
  }
}

TEST(GradientNorm, IsThatOfAllGradientsTogether) {
  const at::Tensor a = at::zeros({2}, at::kFloat), b = at::zeros({1, 2}, at::kFloat);
  const AdamW optimizer({{"a", a}, {"b", b}}, {});
  a.mutable_grad().fill_(3);
  b.mutable_grad().fill_(4);
  EXPECT_DOUBLE_EQ(optimizer.gradient_norm(), std::sqrt(2 * 9.0 + 2 * 16.0));
}

TEST(GradientNorm, DoesNotOverflowWhereTheGradientIsFinite) {
  EXPECT_NEAR(norm_of(at::full({3}, 1e30)) / (1e30 * std::sqrt(3.0)), 1.0, 1e-6);
}

TEST(GradientNorm, HasTheSameBitsForAnyThreadCountAndOnEveryPath) {
  at::Generator generator = make_generator(5);
  const at::Tensor gradient = at::randn({100'003}, generator, at::kFloat);
  const int threads = at::get_num_threads();
  const double norm = norm_of(gradient);
  EXPECT_NEAR(norm, gradient.norm(2, at::kDouble).item<double>(), 1e-9 * norm);
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int count : {1, 2}) {
      at::set_num_threads(count);
      EXPECT_EQ(norm_of(gradient), norm) << name_of(path) << ", " << count << " threads";
    }
  }
  at::set_num_threads(threads);
}

TEST(GradientNorm, ShowsAndNamesWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Problem problem = make_problem(6);
    const AdamW optimizer(problem.parameters, {});
    problem.backward();
    EXPECT_EQ(optimizer.first_non_finite_gradient(), "");
    problem.parameters[2].value.mutable_grad().flatten()[389].fill_(bad);
    EXPECT_FALSE(std::isfinite(optimizer.gradient_norm()));
    EXPECT_EQ(optimizer.first_non_finite_gradient(), "p3");
  }
}

}  // namespace
}  // namespace aot
