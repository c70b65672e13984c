// SPDX-License-Identifier: Apache-2.0
#include "aot/core/gradients.h"

#include <torch/csrc/autograd/variable.h>

namespace aot {
namespace {

thread_local bool in_place = false;

}  // namespace

GradientsInPlace::GradientsInPlace() : before_(in_place) {
  in_place = true;
}

GradientsInPlace::~GradientsInPlace() {
  in_place = before_;
}

bool adds_gradient_in_place(const at::Tensor& weight) {
  if (!in_place || !weight.is_leaf() || !weight.requires_grad()) return false;
  const at::Tensor& gradient = weight.grad();
  return gradient.defined() && gradient.is_contiguous() && gradient.scalar_type() == weight.scalar_type() &&
         torch::autograd::impl::hooks(weight).empty();
}

}  // namespace aot
