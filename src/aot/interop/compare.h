// SPDX-License-Identifier: Apache-2.0
// How far two models' logits, or two files' tensors, are apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/interop/named_tensors.h"
#include "aot/models/language.h"
#include "aot/models/vision.h"

namespace aot {

struct LogitDifference {
  int64_t positions = 0;         // rows of logits compared
  double largest = 0, mean = 0;  // of |a - b|
  double magnitude = 0;          // largest |a|: what `largest` is relative to
  double top1_agreement = 0;     // share of rows with the same largest logit
  [[nodiscard]] double relative() const { return magnitude > 0 ? largest / magnitude : largest; }
};

/// a, b (..., V) of the same shape.
LogitDifference compare_logits(const at::Tensor& a, const at::Tensor& b);

/// What models are asked: ids (2, at most 64) spread over the vocabulary, or pictures (2, C, H, W) from N(0, 1). The same each time.
at::Tensor probe_of(const LanguageOptions& options);
at::Tensor probe_of(const VisionOptions& options);

struct TensorDifference {
  std::string name;
  std::vector<int64_t> shape_a, shape_b;
  bool in_a = false, in_b = false;
  bool numbers = false;          // both are there with one shape, and hold floating-point numbers
  double largest = 0, mean = 0;  // of |a - b| with `numbers`; NaN where one of the two is
  [[nodiscard]] bool same_shape() const { return in_a && in_b && shape_a == shape_b; }
  [[nodiscard]] bool differs() const { return !same_shape() || !(largest == 0); }
};

/// Tensor by tensor in the order of their names; two tensors are in memory at a time. Of integers, and of types that no model's weights
/// have, shapes are compared alone.
std::vector<TensorDifference> compare_tensors(const NamedTensors& a, const NamedTensors& b);

}  // namespace aot
