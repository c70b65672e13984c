// SPDX-License-Identifier: Apache-2.0
// Products of two matrices on our own kernels, written into a tensor that exists.
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

struct MatmulOptions {
  bool accumulate = false;  // add to what `out` holds
  at::Tensor bias;          // (N,) float32, added to each row, or undefined
};

/// out (M, N) = left (M, K) right (K, N) [+ out] [+ bias] on all threads, for CPU tensors of any strides, but rows of `out` in one piece.
///   left and right are both float32 or both bfloat16; out is either. Sums are float32. Bits do not depend on the number of threads.
void multiply_into(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right, const MatmulOptions& options = {});

/// Whether our products take numbers of this type where `x` is, and are the faster ones for them.
bool own_matmul(const at::Tensor& x, at::ScalarType type);

}  // namespace aot
