// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

constexpr double kNormEpsilon = 1e-5;

/// (z - mean) / sqrt(variance + 1e-5) * weight + bias over the last dimension.   [Ba, Kiros, Hinton 2016]
///   z (..., D);  weight (D,);  bias (D,) or undefined.
at::Tensor layer_norm(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias = {});

/// z / sqrt(mean(z^2) + 1e-5) * weight over the last dimension.   [Zhang and Sennrich 2019]
at::Tensor rms_norm(const at::Tensor& z, const at::Tensor& weight);

}  // namespace aot
