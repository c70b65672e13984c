// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/linear.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/io/error.h"
#include "aot/kernels/cpu/linear.h"
#include "aot/ops/matmul.h"
#include "aot/ops/norm.h"
#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr double kHalfRounding = 0.003907;  // of one number to bfloat16: 2^-8

/// left * right [+ more] in float64.
class ExactProduct {
 public:
  ExactProduct(const at::Tensor& left, const at::Tensor& right, const at::Tensor& more = {}) {
    const at::Tensor l = left.to(at::kDouble), r = right.to(at::kDouble);
    value_ = at::matmul(l, r);
    size_ = at::matmul(l.abs(), r.abs());
    theirs_ = at::matmul(left.to(at::kFloat), right.to(at::kFloat));
    if (!more.defined()) return;
    value_ = value_ + more.to(at::kDouble);
    size_ = size_ + more.to(at::kDouble).abs();
    theirs_ = theirs_ + more.to(at::kFloat);
  }

  /// How far `out` is, as a share of what the terms add up to without their signs.
  [[nodiscard]] double error(const at::Tensor& out) const {
    return ((out.to(at::kDouble) - value_).abs() / size_.clamp_min(1e-30)).max().item<double>();
  }
  /// What that may be in float32: twice LibTorch's own on the same numbers, or 4 eps.
  [[nodiscard]] double allowed() const { return std::max(2 * error(theirs_), 4 * test::kEpsilon); }

 private:
  at::Tensor value_, size_, theirs_;
};

/// Error at most twice LibTorch's, or 4 eps of the largest number.
void expect_exact(const at::Tensor& ours, const at::Tensor& theirs, const at::Tensor& exact, const std::string& what) {
  EXPECT_LE(test::max_difference(ours, exact), test::allowed_difference(exact, theirs)) << what;
}

/// The same for what `f` gives for leaves in float32 and its gradients, beside what `theirs` gives, both against `theirs` in float64.
void expect_exact(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& f,
                  const std::function<at::Tensor(const std::vector<at::Tensor>&)>& theirs, const std::vector<at::Tensor>& leaves,
                  const std::string& what) {
  const auto results = [&](const auto& g, at::ScalarType type) {
    std::vector<at::Tensor> own;
    for (const at::Tensor& leaf : leaves) own.push_back(leaf.to(type).detach().requires_grad_());
    const at::Tensor out = g(own);
    std::vector<at::Tensor> all = test::gradients(out, test::normal(out.sizes(), 99, at::kFloat), own);
    all.push_back(out.detach());
    return all;
  };
  const auto a = results(f, at::kFloat), b = results(theirs, at::kFloat), exact = results(theirs, at::kDouble);
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_EQ(a[i].sizes(), exact[i].sizes()) << what;
    expect_exact(a[i], b[i], exact[i], str(what, ", ", i));
  }
}

/// The same numbers in memory that is laid out by columns, or with gaps.
enum class Layout { rows, columns, gaps };
at::Tensor laid_out(const at::Tensor& x, Layout layout) {
  if (layout == Layout::columns) return x.t().contiguous().t();
  if (layout == Layout::rows) return x;
  const at::Tensor wide = at::full({x.size(0), x.size(1), 3}, NAN, x.options());
  wide.select(2, 1).copy_(x);
  return wide.select(2, 1);
}

class EveryPath : public ::testing::TestWithParam<CpuPath> {
 protected:
  void SetUp() override { set_cpu_path(GetParam()); }
  test::KeepCpuPath keep_;
};

TEST_P(EveryPath, MultipliesMatricesOfAwkwardSizes) {
  for (const int64_t m : {1, 7, 63, 65, 130})
    for (const int64_t n : {1, 7, 15, 17, 65, 384})
      for (const int64_t k : {1, 7, 63, 65, 384, 1025})
        for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
          const at::Tensor left = test::normal({m, k}, 1, type), right = test::normal({k, n}, 2, type);
          const at::Tensor out = at::full({m, n}, NAN, at::kFloat);
          multiply_into(out, left, right);
          const ExactProduct exact(left, right);
          ASSERT_LE(exact.error(out), exact.allowed()) << m << ' ' << n << ' ' << k << ' ' << type;
        }
}

TEST_P(EveryPath, TakesAnyStrides) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const Layout l : {Layout::rows, Layout::columns, Layout::gaps})
      for (const Layout r : {Layout::rows, Layout::columns, Layout::gaps}) {
        const at::Tensor left = laid_out(test::normal({67, 131}, 1, type), l), right = laid_out(test::normal({131, 77}, 2, type), r);
        const at::Tensor wide = at::full({67, 100}, 5, at::kFloat), out = wide.narrow(1, 9, 77);
        multiply_into(out, left, right);
        const ExactProduct exact(left, right);
        EXPECT_LE(exact.error(out), exact.allowed()) << type;
        EXPECT_EQ(wide.narrow(1, 0, 9).sub(5).abs().max().item<double>(), 0) << "written beside the columns";
        EXPECT_EQ(wide.narrow(1, 86, 14).sub(5).abs().max().item<double>(), 0) << "written beside the columns";
      }
  const at::Tensor one = test::normal({1, 131}, 1, at::kFloat).expand({67, 131}), right = test::normal({131, 5}, 2, at::kFloat);
  const at::Tensor out = at::empty({67, 5}, at::kFloat);
  multiply_into(out, one, right);
  const ExactProduct exact(one, right);
  EXPECT_LE(exact.error(out), exact.allowed());
}

TEST_P(EveryPath, AddsToWhatIsThereAndTheBias) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const int64_t depth : {65, 1500}) {  // one block of the depth, and several
      const at::Tensor left = test::normal({70, depth}, 1, at::kFloat), right = test::normal({depth, 50}, 2, at::kFloat);
      const at::Tensor before = test::normal({70, 50}, 3, type), bias = test::normal({50}, 4, at::kFloat), out = before.clone();
      multiply_into(out, left, right, {.accumulate = true, .bias = bias});
      const ExactProduct exact(left, right, before.to(at::kDouble) + bias);
      EXPECT_LE(exact.error(out), type == at::kFloat ? exact.allowed() : kHalfRounding);
    }
}

TEST_P(EveryPath, CutsLargeMatricesIntoSteps) {
  // Depth is cut at 4096 or more, columns where 8 MiB are full.
  const at::Tensor left = test::normal({9, 9000}, 1, at::kFloat), right = test::normal({9000, 530}, 2, at::kFloat);
  const ExactProduct exact(left, right);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor out = at::full({9, 530}, NAN, type);
    multiply_into(out, left, right);
    EXPECT_LE(exact.error(out), type == at::kFloat ? exact.allowed() : kHalfRounding);
  }
}

TEST_P(EveryPath, KeepsExtremeNumbers) {
  for (const double size : {1e-18, 1e18}) {
    const at::Tensor left = test::normal({33, 65}, 1, at::kFloat) * size, right = test::normal({65, 33}, 2, at::kFloat);
    const at::Tensor out = at::empty({33, 33}, at::kFloat);
    multiply_into(out, left, right);
    const ExactProduct exact(left, right);
    EXPECT_LE(exact.error(out), exact.allowed()) << size;
  }
  at::Tensor left = test::normal({33, 65}, 1, at::kFloat), out = at::empty({33, 7}, at::kFloat);
  left[3][64].fill_(NAN);
  left[32][0].fill_(INFINITY);
  multiply_into(out, left, test::normal({65, 7}, 2, at::kFloat));
  EXPECT_TRUE(out[3].isnan().all().item<bool>());
  EXPECT_TRUE(out[32].isinf().all().item<bool>());
  EXPECT_EQ(out.isfinite().sum().item<int64_t>(), 31 * 7) << "they spread to other rows";
}

TEST_P(EveryPath, BitsDoNotDependOnTheThreads) {
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor left = test::normal({200, 700}, 1, type), right = test::normal({700, 300}, 2, type);
    at::Tensor out[2];
    for (const int threads : {1, 2}) {
      at::set_num_threads(threads);
      out[threads - 1] = at::empty({200, 300}, at::kFloat);
      multiply_into(out[threads - 1], left, right);
    }
    EXPECT_TRUE(at::equal(out[0], out[1]));
  }
  at::set_num_threads(before);
}

TEST_P(EveryPath, LayersAreLinearInValueAndGradient) {
  for (const int64_t rows : {1, 16, 33, 100})
    for (const bool with_bias : {false, true}) {
      std::vector<at::Tensor> leaves = {test::normal({1, rows, 63}, 1, at::kFloat), test::normal({65, 63}, 2, at::kFloat)};
      if (with_bias) leaves.push_back(test::normal({65}, 3, at::kFloat));
      const auto bias = [&](const auto& v) { return with_bias ? v[2] : at::Tensor(); };
      expect_exact([&](const auto& v) { return linear_layer(v[0], v[1], bias(v)); },
                   [&](const auto& v) { return at::linear(v[0], v[1], bias(v)); }, leaves, str(rows, " rows, bias ", with_bias));
    }
}

TEST_P(EveryPath, ATiedWeightLeadsBack) {
  const std::vector<at::Tensor> leaves = {test::normal({40, 64}, 1, at::kFloat), test::normal({64, 48}, 2, at::kFloat)};
  expect_exact([](const auto& v) { return linear_layer_transposed(v[0], v[1]); }, [](const auto& v) { return at::matmul(v[0], v[1]); },
               leaves, "tied");
  const at::Tensor x = leaves[0].detach(), u = leaves[1].detach().requires_grad_();
  EXPECT_TRUE(test::gradients(linear_layer_transposed(x, u), test::normal({40, 48}, 3, at::kFloat), {u})[0].is_contiguous());
}

TEST_P(EveryPath, InBfloat16AreAtMostTwiceAsFarFromFloat32AsLibTorchs) {
  const at::Tensor x = test::normal({130, 384}, 1, at::kBFloat16).requires_grad_(),
                   w = test::normal({65, 384}, 2, at::kBFloat16).requires_grad_();
  const at::Tensor weights = test::normal({130, 65}, 4, at::kBFloat16);
  const at::Tensor wide_x = x.detach().to(at::kDouble).requires_grad_(), wide_w = w.detach().to(at::kDouble).requires_grad_();
  const at::Tensor exact = at::linear(wide_x, wide_w), ours = linear_layer(x, w), theirs = at::linear(x, w);
  EXPECT_EQ(ours.scalar_type(), at::kBFloat16);
  EXPECT_LE(test::max_difference(ours, exact), 2 * test::max_difference(theirs, exact));
  const auto exact_gradients = test::gradients(exact, weights.to(at::kDouble), {wide_x, wide_w});
  const auto our_gradients = test::gradients(ours, weights, {x, w}), their_gradients = test::gradients(theirs, weights, {x, w});
  for (size_t i = 0; i < 2; ++i)
    EXPECT_LE(test::max_difference(our_gradients[i], exact_gradients[i]), 2 * test::max_difference(their_gradients[i], exact_gradients[i]));
}

TEST_P(EveryPath, AfterANormIsTheUsualLayerWhoeverMultiplies) {
  const auto leaf = [](at::IntArrayRef shape, uint64_t seed) { return test::normal(shape, seed, at::kFloat); };
  expect_exact([](const auto& v) { return linear_layer(layer_norm(v[0], v[1], v[2]), v[3], v[4]); },
               [](const auto& v) { return at::linear(at::layer_norm(v[0], {24}, v[1], v[2], kNormEpsilon), v[3], v[4]); },
               {leaf({3, 20, 24}, 1), leaf({24}, 2), leaf({24}, 3), leaf({30, 24}, 4), leaf({30}, 5)}, "after a norm");
}

TEST_P(EveryPath, CanBeDifferentiatedTwice) {
  const auto penalty = [](const at::Tensor& out, const std::vector<at::Tensor>& v) {
    const auto first = torch::autograd::grad({out.square().sum()}, v, {}, true, true);
    return first[0].square().sum() + first[1].square().sum();
  };
  expect_exact([&](const auto& v) { return penalty(linear_layer(v[0], v[1]), v); },
               [&](const auto& v) { return penalty(at::linear(v[0], v[1]), v); },
               {test::normal({20, 6}, 1, at::kFloat), test::normal({5, 6}, 2, at::kFloat)}, "twice");
}

INSTANTIATE_TEST_SUITE_P(LinearLayer, EveryPath, ::testing::ValuesIn(supported_cpu_paths()),
                         [](const auto& path) { return std::string(name_of(path.param)); });

TEST(LinearLayer, UnderAutocastMultipliesInBfloat16AndKeepsTheWeightsGradientInFloat32) {
  for (const at::ScalarType given : {at::kFloat, at::kBFloat16}) {  // the layer before may have given bfloat16
    const at::Tensor x = test::normal({40, 64}, 1, given).requires_grad_(), w = test::normal({48, 64}, 2, at::kFloat).requires_grad_();
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    const at::Tensor out = linear_layer(x, w), back = linear_layer_transposed(out.detach(), w);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    EXPECT_EQ(out.scalar_type(), at::kBFloat16);
    EXPECT_EQ(back.scalar_type(), at::kBFloat16);
    const at::Tensor half_x = x.detach().to(at::kBFloat16), half_w = w.detach().to(at::kBFloat16);
    EXPECT_LE(ExactProduct(half_x, half_w.t()).error(out.detach()), kHalfRounding);
    const at::Tensor weights = test::normal({40, 48}, 3, at::kBFloat16);
    const auto gradients = test::gradients(out, weights, {x, w});
    EXPECT_EQ(gradients[0].scalar_type(), given);
    EXPECT_EQ(gradients[1].scalar_type(), at::kFloat);
    const ExactProduct exact(weights.t(), half_x);
    EXPECT_LE(exact.error(gradients[1]), matmul_choice().bfloat16 ? exact.allowed() : kHalfRounding);
    const at::Tensor turned_weights = test::normal({40, 64}, 4, at::kBFloat16);
    const ExactProduct exact_turned(out.detach().t(), turned_weights);
    EXPECT_LE(exact_turned.error(test::gradients(back, turned_weights, {w})[0]),
              matmul_choice().bfloat16 ? exact_turned.allowed() : kHalfRounding);
  }
}

TEST(LinearLayer, GradientsOfWhatIsFixedAreNotMade) {
  const at::Tensor x = test::normal({20, 6}, 1, at::kFloat), w = test::normal({5, 6}, 2, at::kFloat).requires_grad_();
  linear_layer(x, w).sum().backward();
  const ExactProduct exact(at::full({5, 20}, 1.0F), x);
  EXPECT_LE(exact.error(w.grad()), exact.allowed());
  EXPECT_FALSE(x.grad().defined());
}

TEST(LinearLayer, OneRowIsReadOnceForAwkwardSizes) {
  const c10::InferenceMode guard;
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t width : {1, 3, 16, 63, 384, 1000})
      for (const int64_t rows : {1, 2, 7, 65, 384, 1001}) {
        const at::Tensor x = test::normal({1, 1, width}, 1, at::kFloat), w = test::normal({rows, width}, 2, at::kFloat);
        const at::Tensor out = linear_layer(x, w), b = test::normal({rows}, 3, at::kFloat), with_bias = linear_layer(x, w, b);
        EXPECT_EQ(out.sizes(), (at::IntArrayRef{1, 1, rows}));
        const ExactProduct exact(x.view({1, width}), w.t()), exact_with_bias(x.view({1, width}), w.t(), b);
        EXPECT_LE(exact.error(out.view({1, rows})), exact.allowed()) << width << ' ' << rows;
        EXPECT_LE(exact_with_bias.error(with_bias.view({1, rows})), exact_with_bias.allowed()) << width << ' ' << rows;
      }
  }
}

TEST(LinearLayer, BitsOfOneRowDoNotDependOnTheThreads) {
  const c10::InferenceMode guard;
  const at::Tensor x = test::normal({1, 384}, 1, at::kFloat), w = test::normal({1000, 384}, 2, at::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = linear_layer(x, w);
  at::set_num_threads(2);
  const at::Tensor two = linear_layer(x, w);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

TEST(LinearLayer, EverythingElseIsTheUsualProduct) {
  const at::Tensor w = test::normal({5, 8}, 1, at::kFloat), x = test::normal({3, 8}, 2, at::kFloat);
  EXPECT_TRUE(at::equal(linear_layer(x, w), at::linear(x, w)));
  const at::Tensor row = test::normal({8, 1}, 3, at::kFloat).t(), turned = test::normal({8, 5}, 4, at::kFloat).t();  // not contiguous
  const ExactProduct exact(row, turned.t());
  EXPECT_LE(exact.error(linear_layer(row, turned)), exact.allowed());
  EXPECT_EQ(linear_layer(row.to(at::kBFloat16), w.to(at::kBFloat16)).scalar_type(), at::kBFloat16);
  const at::Tensor many = test::normal({70, 8}, 5);
  EXPECT_TRUE(at::equal(linear_layer(many, w.to(at::kDouble)), at::linear(many, w.to(at::kDouble))));
  EXPECT_EQ(linear_layer(test::normal({0, 8}, 6, at::kFloat), w).sizes(), (at::IntArrayRef{0, 5}));
  EXPECT_ANY_THROW(linear_layer(test::normal({1, 7}, 7, at::kFloat), w));
  EXPECT_ANY_THROW(linear_layer(test::normal({70, 7}, 7, at::kFloat), w));
  EXPECT_ANY_THROW(linear_layer(many, w));  // float64 and float32
}

}  // namespace
}  // namespace aot
