// SPDX-License-Identifier: Apache-2.0
// The rules by which an optimizer changes weights, over flat buffers.
#pragma once

#include <cstdint>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace aot {

/// With gradient g, learning rate lr and weight decay d, at update t = 1, 2, ...:
///   adamw   m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2,
///           w <- w - lr d w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
///           [Loshchilov and Hutter 2019, Alg. 2; epsilon 1e-8]
///   lion    w <- w - lr (sign(beta1 m + (1 - beta1) g) + d w),   m <- beta2 m + (1 - beta2) g     [Chen et al. 2023, Alg. 2]
enum class UpdateRule { adamw, lion };

std::string_view name_of(UpdateRule rule);

/// Of parameters that are updated alike, float32, (n,) each.
struct UpdateBuffers {
  at::Tensor values, gradients, first;
  at::Tensor second;   // undefined for Lion, which has one moment
  at::Tensor average;  // undefined when none is kept
};

/// What one update needs to know besides the numbers.
struct UpdateStep {
  UpdateRule rule = UpdateRule::adamw;
  double lr = 0, weight_decay = 0, beta1 = 0, beta2 = 0;
  double gradient_divisor = 1;
  double average_decay = 0;  // average <- decay average + (1 - decay) w, of the new w
  int64_t t = 1;
};

/// Updates values, moments and average, and sets the gradients to 0: kernels of our own in one pass on the CPU, with the same bits for any
/// number of threads; elsewhere `update_by_operators`.
void update(const UpdateBuffers& buffers, const UpdateStep& step);

/// The same by LibTorch's operators, on any device.
void update_by_operators(const UpdateBuffers& buffers, const UpdateStep& step);

}  // namespace aot
