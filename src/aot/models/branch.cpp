// SPDX-License-Identifier: Apache-2.0
#include "aot/models/branch.h"

#include <ATen/TensorOperators.h>

namespace aot {

Norm::Norm(NormKind norm_kind, int64_t width, bool with_bias, const at::Generator& generator) : kind(norm_kind) {
  if (kind == NormKind::none) return;
  weight = constant_parameter({width}, 1, generator);
  if (with_bias && kind == NormKind::layer) bias = constant_parameter({width}, 0, generator);
}

NormedTokens Norm::with_skip(const at::Tensor& z) const {
  switch (kind) {
    case NormKind::layer:
      return layer_norm_and_skip(z, weight, bias);
    case NormKind::rms:
      return rms_norm_and_skip(z, weight);
    case NormKind::none:
      break;
  }
  return {z, z};
}

void Norm::collect(Parameters& into, const std::string& prefix) const {
  if (weight.defined()) into.push_back({prefix + ".weight", weight});
  if (bias.defined()) into.push_back({prefix + ".bias", bias});
}

Step::Step(StepSize size, double initial, int64_t width, const at::Generator& generator) : fixed(initial) {
  if (size != StepSize::fixed) learnt = constant_parameter({size == StepSize::scalar ? 1 : width}, initial, generator);
}

at::Tensor Step::operator()(const at::Tensor& update) const {
  if (learnt.defined()) return update * learnt;
  return fixed == 1 ? update : update * fixed;
}

}  // namespace aot
