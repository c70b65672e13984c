// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/dropout.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace aot {

at::Tensor dropout(const at::Tensor& x, double rate, const std::optional<at::Generator>& generator) {
  if (rate == 0) return x;
  TORCH_CHECK_VALUE(generator.has_value(), "dropout: a rate of ", rate, " needs a generator");
  at::Tensor kept;
  {
    const c10::NoGradGuard no_grad;
    kept = at::empty_like(x).bernoulli_(1 - rate, generator).div_(1 - rate);
  }
  return at::mul(x, kept);
}

}  // namespace aot
