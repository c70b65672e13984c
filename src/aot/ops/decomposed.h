// SPDX-License-Identifier: Apache-2.0
// Subspace attention by LibTorch's operators alone: on any device, and traceable, since sizes may be symbols. What compilers and devices
// without kernels of ours see of it (python/bindings/operators.cpp).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>

namespace aot {

/// cos and sin (T, P/2) of the positions first .. first + T - 1, computed in float64: pair i is turned by position times base^(-2 i / P).
struct RotaryRows {
  at::Tensor cos, sin;
};
RotaryRows rotary_rows(double base, const c10::SymInt& first, const c10::SymInt& tokens, int64_t head_dim,
                       const at::TensorOptions& options);

/// x (..., T, P) with its pairs (i, i + P/2) turned as `rotate` does; half types are turned in float32.
at::Tensor rotate_decomposed(const at::Tensor& x, const RotaryRows& rows);

/// softmax(scale q k^T + mask) v per head, as `attention`: q, k, v (B, K, T, P); key_mask (B, T) bool or undefined. A row that may read
/// no key gives 0.
at::Tensor attention_decomposed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal, const at::Tensor& key_mask);

}  // namespace aot
