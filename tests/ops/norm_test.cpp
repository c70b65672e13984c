// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/norm.h"

#include <cmath>
#include <limits>

#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

TEST(Norm, IsItsFormulaWithTheNamedEpsilon) {
  const at::Tensor weight = test::normal({10}, 2), bias = test::normal({10}, 3);
  for (const double size : {1e-3, 1.0, 1e3}) {  // at 1e-3 the epsilon counts
    const at::Tensor z = test::normal({2, 3, 10}, 1) * size, centred = z - z.mean(-1, true);
    const at::Tensor layer = centred / (centred.square().mean(-1, true) + kNormEpsilon).sqrt() * weight;
    EXPECT_LT(test::max_difference(layer_norm(z, weight), layer), 1e-12) << size;
    EXPECT_LT(test::max_difference(layer_norm(z, weight, bias), layer + bias), 1e-12) << size;
    EXPECT_LT(test::max_difference(rms_norm(z, weight), z / (z.square().mean(-1, true) + kNormEpsilon).sqrt() * weight), 1e-12) << size;
  }
}

TEST(Norm, GradientsEqualFiniteDifferences) {
  const at::Tensor z = test::normal({2, 3, 10}, 1).requires_grad_(), weight = test::normal({10}, 2).requires_grad_(),
                   bias = test::normal({10}, 3).requires_grad_();
  EXPECT_LT(test::gradient_error([&] { return layer_norm(z, weight, bias); }, {z, weight, bias}), 1e-8);
  EXPECT_LT(test::gradient_error([&] { return rms_norm(z, weight); }, {z, weight}), 1e-8);
}

enum class Kind { layer, layer_with_bias, rms };

/// A norm with everything that goes in and out, in one format.
struct Case {
  Kind kind;
  at::Tensor z, weight, bias, d_x, d_skip;

  /// z of deviation `size` around `mean`, both drawn rounded to bfloat16 if that is wanted, so that formats see the same numbers.
  Case(Kind which, at::IntArrayRef shape, double size, double mean, at::ScalarType rounded)
      : kind(which),
        z((test::normal(shape, 1) * size + mean).to(rounded).to(at::kDouble)),
        weight((test::normal({shape.back()}, 2) + 1).to(rounded).to(at::kDouble)),
        bias(test::normal({shape.back()}, 3).to(rounded).to(at::kDouble)),
        d_x(test::normal(shape, 4).to(rounded).to(at::kDouble)),
        d_skip(test::normal(shape, 5).to(rounded).to(at::kDouble)) {}

  [[nodiscard]] Case in(at::ScalarType type) const {
    Case out = *this;
    for (at::Tensor* t : {&out.z, &out.weight, &out.bias, &out.d_x, &out.d_skip}) *t = t->to(type);
    return out;
  }

  struct Results {
    at::Tensor x, dz, d_weight, d_bias;
  };
  [[nodiscard]] Results run(bool plain) const {
    const at::Tensor input = z.detach().requires_grad_(), w = weight.detach().requires_grad_(), b = bias.detach().requires_grad_();
    const at::Tensor used = kind == Kind::layer_with_bias ? b : at::Tensor();
    NormedTokens out;
    if (plain)
      out = {kind == Kind::rms ? at::rms_norm(input, w.sizes(), w, kNormEpsilon)
                               : at::layer_norm(input, w.sizes(), w, used, kNormEpsilon, false),
             input};
    else
      out = kind == Kind::rms ? rms_norm_and_skip(input, w) : layer_norm_and_skip(input, w, used);
    torch::autograd::variable_list inputs{input, w};
    if (used.defined()) inputs.push_back(b);
    const auto gradients = torch::autograd::grad({out.x, out.skip}, inputs, {d_x, d_skip});
    return {out.x.detach(), gradients[0], gradients[1], used.defined() ? gradients[2] : at::Tensor()};
  }
};

/// Largest difference relative to the largest number.
double relative(const at::Tensor& got, const at::Tensor& want) {
  return test::max_difference(got, want) / std::max(1e-30, want.abs().max().item<double>());
}

void expect_close(const Case& exact, at::ScalarType type) {
  const double epsilon = type == at::kFloat ? std::numeric_limits<float>::epsilon() : 0x1p-8;
  const Case::Results want = exact.run(true), got = exact.in(type).run(false), library = exact.in(type).run(true);
  const auto expect = [&](const char* what, const at::Tensor& ours, const at::Tensor& theirs, const at::Tensor& truth) {
    EXPECT_LE(relative(ours, truth), std::max(2 * relative(theirs, truth), 4 * epsilon))
        << what << " of " << exact.z.sizes() << " " << type << " kind " << static_cast<int>(exact.kind);
  };
  expect("x", got.x, library.x, want.x);
  expect("dz", got.dz, library.dz, want.dz);
  expect("d_weight", got.d_weight, library.d_weight, want.d_weight);
  if (want.d_bias.defined()) expect("d_bias", got.d_bias, library.d_bias, want.d_bias);
}

TEST(NormKernels, AreAsExactAsLibTorchsOnEveryPathForAwkwardShapes) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    SCOPED_TRACE(name_of(path));
    set_cpu_path(path);
    for (const auto& shape : {std::vector<int64_t>{1, 1}, {1, 7, 16}, {7, 33}, {2, 63, 40}, {1, 65, 127}, {3, 65, 384}})
      for (const Kind kind : {Kind::layer, Kind::layer_with_bias, Kind::rms})
        for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) expect_close(Case(kind, shape, 1, 0.5, at::kBFloat16), type);
  }
}

TEST(NormKernels, StayExactForSmallAndLargeNumbersAndFarFromZero) {
  for (const Kind kind : {Kind::layer, Kind::layer_with_bias, Kind::rms}) {
    for (const double size : {1e-20, 1e-4, 1e4, 1e15}) expect_close(Case(kind, {5, 70}, size, 0, at::kFloat), at::kFloat);
    expect_close(Case(kind, {5, 70}, 1, 1000, at::kFloat), at::kFloat);
  }
}

TEST(NormKernels, TakeStridedTokensAndGradients) {
  Case whole(Kind::layer_with_bias, {6, 5, 35}, 1, 0, at::kFloat);
  const Case::Results want = whole.in(at::kFloat).run(false);
  Case strided = whole.in(at::kFloat);
  for (at::Tensor* t : {&strided.z, &strided.d_x, &strided.d_skip}) *t = t->transpose(0, 2).contiguous().transpose(0, 2);
  ASSERT_FALSE(strided.z.is_contiguous());
  const Case::Results got = strided.run(false);
  EXPECT_TRUE(got.x.equal(want.x));
  EXPECT_TRUE(got.dz.equal(want.dz));
  EXPECT_TRUE(got.d_weight.equal(want.d_weight));
}

TEST(NormKernels, GiveTheSameBitsForAnyNumberOfThreadsAndWithoutAGraph) {
  const int threads = at::get_num_threads();
  for (const int64_t rows : {1, 63, 1000, 5000}) {
    const Case one = Case(Kind::layer_with_bias, {rows, 72}, 1, 0, at::kFloat).in(at::kFloat);
    at::set_num_threads(1);
    const Case::Results want = one.run(false);
    for (const int count : {2, 3}) {
      at::set_num_threads(count);
      const Case::Results got = one.run(false);
      EXPECT_TRUE(got.x.equal(want.x) && got.dz.equal(want.dz) && got.d_weight.equal(want.d_weight) && got.d_bias.equal(want.d_bias))
          << rows;
    }
    const c10::NoGradGuard no_grad;
    EXPECT_TRUE(layer_norm(one.z, one.weight, one.bias).equal(want.x));
  }
  at::set_num_threads(threads);
}

TEST(NormKernels, ShowWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const at::Tensor z = test::normal({3, 40}, 1, at::kFloat), weight = test::normal({40}, 2, at::kFloat);
    z[1][39].fill_(bad);
    for (const at::Tensor& x : {layer_norm(z, weight), rms_norm(z, weight)}) {
      EXPECT_TRUE(x[0].isfinite().all().item<bool>());
      EXPECT_FALSE(std::isfinite(x[1][39].item<float>()));
      EXPECT_TRUE(x[2].isfinite().all().item<bool>());
    }
  }
}

TEST(NormKernels, AVarianceThatOverflowsIsNaNAndNotZero) {
  const at::Tensor z = test::normal({1, 40}, 1, at::kFloat) * 1e30, weight = test::normal({40}, 2, at::kFloat);
  EXPECT_TRUE(layer_norm(z, weight).isnan().all().item<bool>());
  EXPECT_TRUE(rms_norm(z, weight).isnan().all().item<bool>());
}

TEST(NormKernels, AreDifferentiableTwice) {
  const at::Tensor z = test::normal({4, 20}, 1, at::kFloat).transpose(0, 1).requires_grad_(),
                   weight = test::normal({4}, 2, at::kFloat).requires_grad_();
  const auto second = [&](const at::Tensor& x) {
    const at::Tensor first = torch::autograd::grad({x.pow(3).sum()}, {z}, {}, true, true)[0];
    return torch::autograd::grad({first.square().sum()}, {z, weight});
  };
  const auto got = second(layer_norm(z, weight)), want = second(at::layer_norm(z, weight.sizes(), weight, {}, kNormEpsilon, false));
  EXPECT_LT(relative(got[0], want[0]), 1e-4);
  EXPECT_LT(relative(got[1], want[1]), 1e-4);
}

TEST(NormKernels, LeaveARecipeThatGivesTheSameBits) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor z = test::normal({2, 9, 40}, 1, type).requires_grad_(), weight = test::normal({40}, 2, type).requires_grad_(),
                     bias = test::normal({40}, 3, type).requires_grad_();
    for (const at::Tensor& x : {layer_norm(z, weight, bias), layer_norm(z, weight), rms_norm(z, weight)}) {
      const auto recipe = norm_recipe(x);
      ASSERT_TRUE(recipe.has_value());
      EXPECT_TRUE(norm_again(*recipe).equal(x));
    }
    EXPECT_FALSE(norm_recipe(z).has_value());
    EXPECT_FALSE(norm_recipe(layer_norm_and_skip(z, weight).skip).has_value());
    EXPECT_FALSE(norm_recipe(layer_norm(z, weight) * 2).has_value());
  }
}

}  // namespace
}  // namespace aot
