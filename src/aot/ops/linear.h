// SPDX-License-Identifier: Apache-2.0
// Linear layers.
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

/// x W^T + b, as at::linear: x (..., D), weight (N, D), bias (N,) or undefined, returns (..., N).
///   float32 and bfloat16 on the CPU, under autocast too, run on our own kernels where these are faster (kernels/cpu/linear.h): forward and
///   both gradients; the weight's gradient under autocast is summed in float32 and never rounded to bfloat16. One row of float32 without
///   gradient, as in decoding one sequence, is shared among the threads by rows of W, which is read once. Everything else is at::linear.
///   What came straight out of a norm is not kept for backward but computed again (ops/norm.h), also where LibTorch multiplies in float32.
///   Differentiable any number of times. Bits of our kernels do not depend on the number of threads.
at::Tensor linear_layer(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// x W for x (..., N) and weight (N, D): the way back through a tied weight. As `linear` in all else.
at::Tensor linear_layer_transposed(const at::Tensor& x, const at::Tensor& weight);

}  // namespace aot
