// SPDX-License-Identifier: Apache-2.0
// Subspace attention by the project's own kernels (kernels/cpu/mssa.h), which use that queries, keys and values are one tensor.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "aot/ops/attention.h"

namespace aot {

/// Whether the kernels serve `a` (B, K, T, P): on the CPU, float32 or bfloat16, P a multiple of 8 from 16 to 128, a scale above 0, no
/// mask but causality and a key mask.
bool mssa_kernel_serves(const at::Tensor& a, const AttentionOptions& options);

/// subspace_attention for a tensor that the kernels serve. Read and written in place of its strides, contiguous rows (..., P) assumed.
/// Differentiable, twice through attention_reference. Kept for backward: a, the result, and two numbers a row and head.
/// NaN or infinity in `a` or in the gradient: the result is attention_reference's.
at::Tensor mssa_kernel_attention(const at::Tensor& a, const RotaryTable* rotary, const AttentionOptions& options);

/// What the kernels read besides the heads.
struct MssaSetting {
  at::Tensor key_mask;  // (B, T) bool, contiguous; undefined: all tokens are real
  at::Tensor cos, sin;  // (T, P/2) float32, contiguous; undefined: no positions
  bool causal = true;
  double scale = 0;  // as it is: P^-1/2 is the caller's
};

/// The two passes of mssa_kernel_attention without a graph, for callers that have one of their own. No derivative is recorded.
///   statistics (B, K, 2, T) float32; all NaN when the result is the plain form's: the backward then goes the same way.
///   Results are laid out as (B, T, K, P).
struct MssaPass {
  at::Tensor out, statistics;
};
MssaPass mssa_kernel_forward(const at::Tensor& a, const MssaSetting& setting);
/// The gradient of `a` from that of `out`.
at::Tensor mssa_kernel_backward(const at::Tensor& d_out, const at::Tensor& a, const MssaPass& pass, const MssaSetting& setting);

/// What the kernels met since the process began. Guards change speed, never results (docs/kernels.md).
struct MssaCounts {
  int64_t heads = 0;      // heads of all sequences that went forward
  int64_t fallbacks = 0;  // of them, those that a guard sent the slower way
};
MssaCounts mssa_counts();
/// The share of fallbacks between two counts; 0 when no head went forward.
double fallback_share(const MssaCounts& before, const MssaCounts& after);

}  // namespace aot
