// SPDX-License-Identifier: Apache-2.0
// Learnable tensors by name (docs/decisions/0001-parameters.md says why torch::nn::Module is not used).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace aot {

/// One learnable tensor. `value` shares storage with the owner's member: in-place changes reach the model.
struct Parameter {
  std::string name;  // as in model.safetensors, e.g. "layers.3.mixer.u"
  at::Tensor value;
};

using Parameters = std::vector<Parameter>;

/// A float32 leaf that requires grad, drawn from N(0, deviation). With an undefined generator it has a shape but no storage (device
/// `meta`): so a model can be counted and described without being allocated.
at::Tensor normal_parameter(at::IntArrayRef shape, double deviation, at::Generator& generator);

/// The same, filled with one value.
at::Tensor constant_parameter(at::IntArrayRef shape, double value, const at::Generator& generator);

/// Moves them where they are, so that their owners see it.
void move_parameters(const Parameters& parameters, at::Device device, at::ScalarType dtype);

/// Number of learnable scalars.
int64_t parameter_count(const Parameters& parameters);

}  // namespace aot
