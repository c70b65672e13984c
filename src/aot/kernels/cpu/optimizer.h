// SPDX-License-Identifier: Apache-2.0
// An optimizer's two passes over flat buffers: the norm of the gradient, then everything else at once.
#pragma once

#include <cstdint>

namespace aot {

/// Numbers of one task of either pass: 128 KiB of AdamW's four buffers, enough to be worth a thread and small enough to balance.
constexpr int64_t kOptimizerBlock = 8192;

/// Sums of the squares of blocks begin .. end - 1 of data (size,): sums[i] is that of block i, in double precision, where the square of a
/// float is exact. Not finite exactly when a number of the block is not. The same bits on every path.
void square_sums(const float* data, int64_t size, double* sums, int64_t begin, int64_t end);

/// One update of a range of parameters; `train/update_rule.h` has the formulas. Everything that depends on the step alone is in the
/// constants, so that a parameter costs AdamW one square root and one division, and Lion neither.
struct UpdateParams {
  float *value = nullptr, *gradient = nullptr, *first = nullptr;  // (size,)
  float* second = nullptr;                                        // (size,), AdamW's only
  float* average = nullptr;                                       // (size,), null when none is kept
  int64_t size = 0;
  float gradient_scale = 1;  // the gradient is multiplied by this
  float keep = 1;            // 1 - lr weight_decay: what stays of the value
  float beta1 = 0, beta2 = 0;
  float rate = 0;          // lr, AdamW's divided by 1 - beta1^t
  float root_scale = 1;    // AdamW's 1 / sqrt(1 - beta2^t)
  float epsilon = 0;       // AdamW's
  float average_rate = 0;  // share of the new value in the average
};

/// Update values, moments and averages of blocks begin .. end - 1 and set their gradients to 0 on the way. Lion's direction of a NaN is a
/// NaN.
void adamw(const UpdateParams& params, int64_t begin, int64_t end);
void lion(const UpdateParams& params, int64_t begin, int64_t end);

}  // namespace aot
