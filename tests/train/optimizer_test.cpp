// SPDX-License-Identifier: Apache-2.0
#include "aot/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "aot/core/machine.h"
#include "aot/core/random.h"
#include "aot/kernels/cpu/optimizer.h"
#include "tests/kernels/paths.h"
#include "tests/support/busy_threads.h"

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
  const Optimizer optimizer({{"a", value}}, {});
  value.mutable_grad().copy_(gradient);
  return optimizer.gradient_norm();
}

/// Both rules with everything off, and with everything on.
std::vector<OptimizerOptions> all_options() {
  std::vector<OptimizerOptions> out;
  for (const UpdateRule rule : {UpdateRule::adamw, UpdateRule::lion}) {
    out.push_back({.rule = rule});
    out.push_back({.rule = rule, .weight_decay = 0.2, .beta1 = 0.8, .beta2 = 0.95, .layer_decay = 0.5, .ema = 0.5});
  }
  return out;
}

std::string text_of(const OptimizerOptions& options) {
  return std::string(name_of(options.rule)) + (options.ema > 0 ? " with layer decay and average" : "");
}

/// Parameters of two layers, in sizes around a register and a block.
Parameters layered_parameters(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  Parameters out;
  for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<int64_t>>>{{"embedding", {17, 5}},
                                                                                             {"layers.0.norm", {65}},
                                                                                             {"layers.0.mixer.u", {3, 7}},
                                                                                             {"layers.1.norm", {1}},
                                                                                             {"layers.1.mixer.u", {1, kOptimizerBlock + 1}},
                                                                                             {"final_norm", {63}},
                                                                                             {"head", {2, 3, 65}}})
    out.push_back({name, at::randn(shape, generator, at::kFloat)});
  return out;
}
constexpr double kBelowHead[] = {3, 2, 2, 1, 1, 0, 0};  // exponents of the layer decay, from the rule of timm

std::vector<double> numbers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().flatten().to(at::kDouble);
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// The rules, written down for one number in double precision.
struct Plain {
  double w, a, m = 0, v = 0;

  void update(const OptimizerOptions& o, double lr, double decay, double g, int t) {
    if (o.rule == UpdateRule::adamw) {
      m = o.beta1 * m + (1 - o.beta1) * g;
      v = o.beta2 * v + (1 - o.beta2) * g * g;
      w -= lr * decay * w + lr * (m / (1 - std::pow(o.beta1, t))) / (std::sqrt(v / (1 - std::pow(o.beta2, t))) + 1e-8);
    } else {
      const double c = o.beta1 * m + (1 - o.beta1) * g;
      w -= lr * ((c > 0 ? 1.0 : c < 0 ? -1.0 : 0.0) + decay * w);
      m = o.beta2 * m + (1 - o.beta2) * g;
    }
    const double keep = std::min(o.ema, (1.0 + t) / (10.0 + t));
    a = keep * a + (1 - keep) * w;
  }
};

void expect_near(const at::Tensor& found, const std::vector<Plain>& needed, double Plain::*member, double tolerance,
                 const std::string& what) {
  const std::vector<double> got = numbers(found);
  double worst = 0;
  for (size_t j = 0; j < got.size(); ++j) worst = std::max(worst, std::abs(got[j] - needed[j].*member));
  EXPECT_LT(worst, tolerance) << what;
}

TEST(Optimizer, EqualsItsDefinitionInDoublePrecisionOnEveryPath) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const OptimizerOptions& options : all_options()) {
      const Parameters parameters = layered_parameters(1);
      std::vector<std::vector<Plain>> plain;
      for (const Parameter& parameter : parameters) {
        plain.emplace_back();
        for (const double w : numbers(parameter.value)) plain.back().push_back({w, w});
      }
      Optimizer optimizer(parameters, options);
      at::Generator generator = make_generator(7);
      for (int t = 1; t <= 5; ++t) {
        const double lr = 0.01 / t, divisor = t == 3 ? 1 : 1.5 * t;  // as clipping divides
        for (size_t i = 0; i < parameters.size(); ++i) {
          const at::Tensor value = parameters[i].value;
          for (int pass = 0; pass < 2; ++pass)  // accumulated on the zeros that the last update left
            value.mutable_grad().add_(at::randn(value.sizes(), generator, at::kFloat));
          const std::vector<double> g = numbers(value.grad());
          const double decay = value.dim() >= 2 ? options.weight_decay : 0;
          for (size_t j = 0; j < g.size(); ++j)
            plain[i][j].update(options, lr * std::pow(options.layer_decay, kBelowHead[i]), decay, g[j] / divisor, t);
        }
        optimizer.update(lr, divisor);
      }
      EXPECT_EQ(optimizer.steps(), 5);
      const Parameters state = optimizer.state();
      ASSERT_EQ(state.size(), parameters.size() * static_cast<size_t>(state_per_parameter(options)));
      size_t next = 0;
      for (size_t i = 0; i < parameters.size(); ++i) {
        const std::string what = text_of(options) + ", " + std::string(name_of(path)) + ", " + parameters[i].name;
        expect_near(parameters[i].value, plain[i], &Plain::w, 2e-6, what);
        EXPECT_EQ(state[next].name, parameters[i].name + ".exp_avg");
        expect_near(state[next++].value, plain[i], &Plain::m, 1e-6, what);
        if (options.rule == UpdateRule::adamw) expect_near(state[next++].value, plain[i], &Plain::v, 2e-6, what);
        if (options.ema == 0) continue;
        EXPECT_EQ(state[next].name, parameters[i].name + ".raw");
        EXPECT_TRUE(state[next++].value.equal(parameters[i].value)) << what;
        const AveragedWeights averaged(optimizer);
        expect_near(parameters[i].value, plain[i], &Plain::a, 2e-6, what);
      }
    }
  }
}

TEST(Optimizer, OnOtherDevicesDoesTheSameByOperators) {
  for (const OptimizerOptions& options : all_options()) {
    at::Generator generator = make_generator(8);
    UpdateBuffers kernels;
    for (at::Tensor* buffer : {&kernels.values, &kernels.gradients, &kernels.first, &kernels.average})
      *buffer = at::randn({kOptimizerBlock + 7}, generator, at::kFloat);
    if (options.rule == UpdateRule::adamw) kernels.second = kernels.first.square();
    UpdateBuffers operators = kernels;
    for (at::Tensor* buffer : {&operators.values, &operators.gradients, &operators.first, &operators.second, &operators.average})
      if (buffer->defined()) *buffer = buffer->clone();
    const UpdateStep step{.rule = options.rule,
                          .lr = 0.01,
                          .weight_decay = 0.1,
                          .beta1 = 0.9,
                          .beta2 = 0.99,
                          .gradient_divisor = 3,
                          .average_decay = 0.75,
                          .t = 4};
    update(kernels, step);
    update_by_operators(operators, step);
    for (const auto buffer : {&UpdateBuffers::values, &UpdateBuffers::gradients, &UpdateBuffers::first, &UpdateBuffers::average})
      EXPECT_TRUE((kernels.*buffer).allclose(operators.*buffer, 1e-5, 1e-6)) << text_of(options);
    EXPECT_TRUE(kernels.gradients.eq(0).all().item<bool>());
  }
}

TEST(Optimizer, RatesFallFromLayerToLayerTowardsTheEmbedding) {
  const at::Tensor none;
  const Parameters vision = {{"patch", none},
                             {"class_token", none},
                             {"layers.0.norm1.weight", none},
                             {"layers.0.mixer.u", none},
                             {"layers.11.mixer.u", none},
                             {"final_norm.weight", none},
                             {"head_bias", none}};
  const std::vector<double> scales = layer_scales(vision, 0.5);
  const std::vector<double> exponents = {13, 13, 12, 12, 1, 0, 0};
  for (size_t i = 0; i < scales.size(); ++i) EXPECT_EQ(scales[i], std::pow(0.5, exponents[i])) << vision[i].name;
  EXPECT_EQ(layer_scales({{"w", none}, {"b", none}}, 0.5), (std::vector<double>{1, 1}));
}

TEST(Optimizer, LeavesWeightsThatNothingPullsWhereTheyAre) {
  for (const UpdateRule rule : {UpdateRule::adamw, UpdateRule::lion}) {
    const at::Tensor weight = at::ones({5}, at::kFloat);
    Optimizer({{"w", weight}}, {.rule = rule}).update(0.1);
    EXPECT_TRUE(weight.eq(1).all().item<bool>());
  }
}

TEST(Lion, NeverHidesANaN) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    const at::Tensor weight = at::ones({19}, at::kFloat);
    Optimizer optimizer({{"w", weight}}, {.rule = UpdateRule::lion});
    for (const int64_t at : {2, 18}) weight.mutable_grad()[at].fill_(std::numeric_limits<float>::quiet_NaN());
    optimizer.update(0.1);
    EXPECT_EQ(weight.isnan().sum().item<int64_t>(), 2) << name_of(path);
    EXPECT_TRUE(weight[2].isnan().item<bool>() && weight[18].isnan().item<bool>()) << name_of(path);
  }
}

TEST(AveragedWeights, StandInForTheWeightsWhileTheyLive) {
  const Parameters parameters = layered_parameters(2);
  Optimizer optimizer(parameters, {.ema = 0.9});
  const at::Tensor weight = parameters[0].value;
  const at::Tensor start = weight.clone();
  {
    const AveragedWeights averaged(optimizer);
    EXPECT_TRUE(weight.equal(start));
  }
  for (const Parameter& parameter : parameters) parameter.value.mutable_grad().fill_(1);
  optimizer.update(0.1);
  const at::Tensor raw = weight.clone();
  const at::Tensor average = start.mul(2.0 / 11).add(raw, 9.0 / 11);  // the warm-up's decay after one update
  {
    const AveragedWeights averaged(optimizer);
    EXPECT_TRUE(weight.allclose(average, 1e-6, 1e-6));
    EXPECT_FALSE(weight.equal(raw));
    {
      const AveragedWeights inner(optimizer);
      EXPECT_TRUE(weight.allclose(average, 1e-6, 1e-6));
    }
    EXPECT_FALSE(weight.equal(raw));  // the inner one left things as they were
    EXPECT_THROW(optimizer.update(0.1), c10::Error);
  }
  EXPECT_TRUE(weight.equal(raw));
  optimizer.update(0.1);
  EXPECT_EQ(optimizer.steps(), 2);

  Optimizer without(layered_parameters(2), {});
  const AveragedWeights none(without);
  EXPECT_NO_THROW(without.update(0.1));
}

TEST(Optimizer, DecaysMatricesOnly) {
  Problem problem = make_problem(2);
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : problem.parameters) before.push_back(parameter.value.detach().clone());
  Optimizer(problem.parameters, {.weight_decay = 0.5}).update(0.1);  // no gradient but decay
  EXPECT_TRUE(problem.parameters[0].value.equal(before[0]));
  EXPECT_TRUE(problem.parameters[1].value.allclose(before[1].mul(0.95), 1e-6));
  EXPECT_TRUE(problem.parameters[2].value.allclose(before[2].mul(0.95), 1e-6));
}

TEST(Optimizer, DividesGradientsOnTheWay) {
  Problem divided = make_problem(3), plain = make_problem(3);
  Optimizer with_divisor(divided.parameters, {}), without(plain.parameters, {});
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
    Optimizer optimizer(ours, {.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99});
    for (int64_t step = 1; step <= 5; ++step) {
      set_gradients(ours, static_cast<uint64_t>(step));
      for (size_t i = 0; i < values.size(); ++i)
        at::_fused_adamw_({values[i]}, {ours[i].value.grad()}, {first[i]}, {second[i]}, {}, {at::full({}, static_cast<double>(step))}, 0.01,
                          0.9, 0.99, ours[i].value.dim() >= 2 ? 0.1 : 0, 1e-8, false, false, at::full({}, 3.0));
      // LibTorch writes the divided gradient back.
      for (const Parameter& parameter : ours) parameter.value.mutable_grad().mul_(3.0);
      optimizer.update(0.01, 3);
    }
    const Parameters moments = optimizer.state();
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_TRUE(ours[i].value.allclose(values[i], 1e-5, 1e-6)) << name_of(path) << " " << ours[i].name;
      EXPECT_TRUE(moments[2 * i].value.allclose(first[i], 1e-5, 1e-6)) << name_of(path) << " " << ours[i].name;
      EXPECT_TRUE(moments[2 * i + 1].value.allclose(second[i], 1e-5, 1e-7)) << name_of(path) << " " << ours[i].name;
    }
  }
}

TEST(Optimizer, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  for (const OptimizerOptions& options : all_options()) {
    std::vector<Parameters> results;
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      Parameters parameters = awkward_parameters(12);
      Optimizer optimizer(parameters, options);
      for (uint64_t step = 0; step < 3; ++step) {
        set_gradients(parameters, step);
        optimizer.update(0.01, optimizer.gradient_norm());
      }
      for (const Parameter& tensor : optimizer.state()) parameters.push_back({tensor.name, tensor.value.clone()});
      const AveragedWeights averaged(optimizer);
      for (size_t i = 0; i < optimizer.parameters().size(); ++i) parameters.push_back({"average", parameters[i].value.clone()});
      results.push_back(std::move(parameters));
    }
    for (size_t i = 0; i < results[0].size(); ++i)
      for (size_t other = 1; other < results.size(); ++other)
        EXPECT_TRUE(results[other][i].value.equal(results[0][i].value)) << text_of(options) << " " << results[0][i].name;
  }
  at::set_num_threads(threads);
}

TEST(Optimizer, RunsOnTwoThreads) {
  if (this_machine().processors < 2) GTEST_SKIP() << "one processor";
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  for (const UpdateRule rule : {UpdateRule::adamw, UpdateRule::lion}) {
    Optimizer optimizer({{"a", at::ones({1 << 20}, at::kFloat)}}, {.rule = rule});
    EXPECT_GT(test::busy_threads([&] { optimizer.update(1e-3, 1); }), test::kTwoThreads);
    EXPECT_GT(test::busy_threads([&] { static_cast<void>(optimizer.gradient_norm()); }), test::kTwoThreads);
  }
  at::set_num_threads(before);
}

TEST(Optimizer, LeavesGradientsOfZeroThatBackwardPassesAddTo) {
  const at::Tensor weight = at::randn({3, 5}, at::kFloat).requires_grad_();
  Optimizer optimizer({{"w", weight}}, {});
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

TEST(Optimizer, RefusesATensorPutInThePlaceOfOneOfItsViews) {
  for (const bool gradient : {true, false}) {
    Problem problem = make_problem(4);
    Optimizer optimizer(problem.parameters, {});
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
  const Optimizer optimizer({{"a", a}, {"b", b}}, {});
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
    const Optimizer optimizer(problem.parameters, {});
    problem.backward();
    EXPECT_EQ(optimizer.first_non_finite_gradient(), "");
    problem.parameters[2].value.mutable_grad().flatten()[389].fill_(bad);
    EXPECT_FALSE(std::isfinite(optimizer.gradient_norm()));
    EXPECT_EQ(optimizer.first_non_finite_gradient(), "p3");
  }
}

}  // namespace
}  // namespace aot
