// SPDX-License-Identifier: Apache-2.0
// The matrix-vector products of decoding.
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

/// x W^T + b, as at::linear: x (..., D), weight (N, D), bias (N,) or undefined, returns (..., N).
///   One row of float32 on the CPU without gradient, as in decoding one sequence, is shared among the threads by rows of W and reads W once
///   at the bandwidth of the cache; LibTorch's product takes one thread for it (1.6 to 3 times slower on two cores at D = 384). Everything
///   else is at::linear. Bits do not depend on the number of threads.
at::Tensor linear_row(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

}  // namespace aot
