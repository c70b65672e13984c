// SPDX-License-Identifier: Apache-2.0
// Between tokens and heads: splitting, joining, and the way back to the update.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace aot {

/// (B, T, K P) -> (B, K, T, P) and back; views where strides allow.
at::Tensor split_heads(const at::Tensor& x, int64_t heads);
at::Tensor join_heads(const at::Tensor& heads);

/// How joined heads become the update. Exactly one of `w_out` and `u` is defined.
struct HeadOutput {
  at::Tensor w_out;   // (D, K P): untied
  at::Tensor u;       // (K P, D): tied, head k returns through U_k^T
  at::Tensor b_out;   // (D,) or undefined
  at::Tensor w_gate;  // (K P, D) or undefined: joined heads times silu(x W_g^T) first (ours, not the paper's)
};

/// joined (..., K P) heads of x (..., D) -> update (..., D).
at::Tensor heads_to_update(const at::Tensor& joined, const at::Tensor& x, const HeadOutput& output);

}  // namespace aot
