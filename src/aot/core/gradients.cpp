// SPDX-License-Identifier: Apache-2.0
#include "aot/core/gradients.h"

#include <torch/csrc/autograd/variable.h>

namespace aot {
namespace {

thread_local double in_place = 0;  // d loss; 0: not in place

}  // namespace

GradientsInPlace::GradientsInPlace(double loss_gradient) : before_(in_place) {
  TORCH_CHECK_VALUE(loss_gradient != 0, "GradientsInPlace: loss_gradient must not be 0");
  in_place = loss_gradient;
}

GradientsInPlace::~GradientsInPlace() {
  in_place = before_;
}

bool adds_gradient_in_place(const at::Tensor& weight) {
  if (in_place == 0 || !weight.is_leaf() || !weight.requires_grad()) return false;
  const at::Tensor& gradient = weight.grad();
  return gradient.defined() && gradient.is_contiguous() && gradient.scalar_type() == weight.scalar_type() &&
         torch::autograd::impl::hooks(weight).empty();
}

double loss_gradient_in_place() {
  return in_place;
}

}  // namespace aot
