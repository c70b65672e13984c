// SPDX-License-Identifier: Apache-2.0
// Rows of logits to their losses and gradients in one go (docs/kernels.md).
#pragma once

#include <cstdint>

namespace aot {

/// With z a row of logits, y its target, lse = log sum_v exp(z_v), p_v = exp(z_v - lse), s label smoothing and c the z-loss:
///   loss     = (1 - s) (lse - z_y) + s (lse - mean_v z_v) + c lse^2
///   gradient = weight (p_v (1 + 2 c lse) - (1 - s) [v = y] - s / V)
/// A row whose target is negative is ignored: both are 0.
struct CrossEntropyParams {
  int64_t rows = 0, vocab = 0;       // V
  float* logits = nullptr;           // (rows, V) one behind the other; overwritten when a gradient is wanted
  const int64_t* targets = nullptr;  // (rows), below V
  float* losses = nullptr;           // (rows)
  float label_smoothing = 0, z_loss = 0;
  float weight = 0;
  void* gradient = nullptr;  // (rows, V): null for none; may be `logits` itself where it is float32
  bool bfloat16 = false;     // how the gradient is stored; else float32
};

/// Rows begin .. end - 1.
void cross_entropy_rows(const CrossEntropyParams& params, int64_t begin, int64_t end);

}  // namespace aot
