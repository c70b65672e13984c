// SPDX-License-Identifier: Apache-2.0
// What stands before and after a branch of a block: a norm, and the step with which its update is added.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "aot/core/parameters.h"
#include "aot/ops/norm.h"

namespace aot {

enum class NormKind { none, layer, rms };
enum class StepSize { fixed, scalar, channel };  // eta: a constant, one learnt number, one per channel

/// A normalisation's parameters: weight and, with bias, bias (D,); none of them for NormKind::none.
struct Norm {
  NormKind kind = NormKind::layer;
  at::Tensor weight, bias;

  Norm() = default;
  Norm(NormKind kind, int64_t width, bool with_bias, const at::Generator& generator);
  [[nodiscard]] at::Tensor operator()(const at::Tensor& z) const { return with_skip(z).x; }
  /// The same, and z for the residual branch beside it.
  [[nodiscard]] NormedTokens with_skip(const at::Tensor& z) const;
  void collect(Parameters& into, const std::string& prefix) const;
};

/// eta: what an update is multiplied by before it is added.
struct Step {
  double fixed = 1;
  at::Tensor learnt;  // (1,) or (D,), undefined when fixed

  Step() = default;
  Step(StepSize size, double initial, int64_t width, const at::Generator& generator);
  [[nodiscard]] at::Tensor operator()(const at::Tensor& update) const;
};

}  // namespace aot
