// SPDX-License-Identifier: Apache-2.0
// LayerNorm and RMSNorm of rows, forward and backward. The residual sum's gradient is added where the norm's is made.
#pragma once

#include <cstdint>

namespace aot {

/// x_i = (z_i - mean) rstd weight_i + bias_i with rstd = (mean (z - mean)^2 + epsilon)^-1/2; not centred: the same with mean 0, which is
/// RMSNorm. NaN where the variance overflows. Rows are contiguous, one after the other; float32 or bfloat16, all sums float32.
struct NormParams {
  int64_t rows = 0, width = 0;
  bool centred = true;
  bool bfloat16 = false;  // how z, x, d_x, d_skip and dz are stored; else float32
  float epsilon = 0;
  const float *weight = nullptr, *bias = nullptr;  // (width); bias null: 0
  const void* z = nullptr;                         // (rows, width)
  void* x = nullptr;                               // (rows, width)
  float* statistics = nullptr;                     // (rows, 2): mean and rstd; null when nobody wants them

  const void *d_x = nullptr, *d_skip = nullptr;  // (rows, width); d_skip null: 0
  void* dz = nullptr;                            // (rows, width): what d_x gives, plus d_skip
  float* partial = nullptr;                      // (norm_parts, 2, width): each part's gradients of weight and bias
};

/// Into how many parts the rows are cut for the backward: depends on the shape alone, so that results do not depend on the number of
/// threads.
int64_t norm_parts(int64_t rows);

/// Rows begin .. end - 1 of x, and their statistics if wanted.
void norm_forward(const NormParams& params, int64_t begin, int64_t end);
/// The same rows of x, to the bit, from z and the statistics.
void norm_again(const NormParams& params, int64_t begin, int64_t end);
/// Parts begin .. end - 1: their rows of dz, and `partial`.
void norm_backward(const NormParams& params, int64_t begin, int64_t end);
/// The parts' gradients added up in order: d_weight and d_bias (width), null when unwanted.
void norm_backward_sum(const NormParams& params, float* d_weight, float* d_bias);

}  // namespace aot
