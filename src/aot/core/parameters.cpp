// SPDX-License-Identifier: Apache-2.0
#include "aot/core/parameters.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

namespace aot {
namespace {

at::Tensor allocated(at::IntArrayRef shape, const at::Generator& generator) {
  return at::empty(shape, at::TensorOptions(at::kFloat).device(generator.defined() ? at::kCPU : at::kMeta));
}

}  // namespace

at::Tensor normal_parameter(at::IntArrayRef shape, double deviation, at::Generator& generator) {
  at::Tensor weight = allocated(shape, generator);
  if (generator.defined()) weight.normal_(0, deviation, generator);
  return weight.requires_grad_();
}

at::Tensor constant_parameter(at::IntArrayRef shape, double value, const at::Generator& generator) {
  return allocated(shape, generator).fill_(value).requires_grad_();
}

void move_parameters(const Parameters& parameters, at::Device device, at::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  for (const Parameter& parameter : parameters) parameter.value.set_data(parameter.value.detach().to(device, dtype));
}

int64_t parameter_count(const Parameters& parameters) {
  int64_t count = 0;
  for (const Parameter& parameter : parameters) count += parameter.value.numel();
  return count;
}

}  // namespace aot
