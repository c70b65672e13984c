// SPDX-License-Identifier: Apache-2.0
// Learnable tensors by name (docs/decisions/0001-parameters.md says why torch::nn::Module is not used).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace aot {

/// One learnable tensor. `value` shares storage with the owner's member: in-place changes reach the model.
struct Parameter {
  std::string name;  // as in model.safetensors, e.g. "layers.3.mixer.u"
  at::Tensor value;
};

using Parameters = std::vector<Parameter>;

/// Number of learnable scalars.
inline int64_t parameter_count(const Parameters& parameters) {
  int64_t count = 0;
  for (const Parameter& parameter : parameters) count += parameter.value.numel();
  return count;
}

}  // namespace aot
