// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/random.h"

namespace aot::test {

at::Tensor normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype) {
  return at::randn(shape, make_generator(seed), at::kDouble).to(dtype);
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  if (a.numel() == 0) return 0;
  const double largest = (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
  return std::isfinite(largest) ? largest : std::numeric_limits<double>::infinity();
}

double allowed_difference(const at::Tensor& exact, const at::Tensor& other, double rounding) {
  return std::max(2 * max_difference(other, exact), rounding * exact.abs().max().item<double>());
}

double tolerance(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return 1e-10;
    case at::kFloat:
      return 2e-5;
    default:
      return 4e-2;  // bfloat16: 8 bits of mantissa
  }
}

std::vector<at::Tensor> gradients(const at::Tensor& output, const at::Tensor& weights, const std::vector<at::Tensor>& inputs) {
  auto out = torch::autograd::grad({output}, inputs, {weights.to(output.scalar_type())}, false, false, /*allow_unused=*/true);
  for (size_t i = 0; i < out.size(); ++i)
    if (!out[i].defined()) out[i] = at::zeros_like(inputs[i]);
  return out;
}

double gradient_error(const std::function<at::Tensor()>& f, const std::vector<at::Tensor>& inputs, double step) {
  const at::Tensor output = f();
  const at::Tensor weights = normal(output.sizes(), 99);
  const std::vector<at::Tensor> wanted = gradients(output, weights, inputs);
  const c10::NoGradGuard no_grad;
  double largest = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor flat = inputs[i].detach().view({-1}), gradient = wanted[i].reshape({-1});
    for (int64_t j = 0; j < flat.numel(); ++j) {
      at::Tensor place = flat[j];
      const double before = place.item<double>();
      place.fill_(before + step);
      const double above = (f() * weights).sum().item<double>();
      place.fill_(before - step);
      const double below = (f() * weights).sum().item<double>();
      place.fill_(before);
      const double error = std::abs((above - below) / (2 * step) - gradient[j].item<double>());
      if (!(error <= largest)) largest = error;  // a NaN is kept
    }
  }
  return largest;
}

}  // namespace aot::test
