// SPDX-License-Identifier: Apache-2.0
// Multi-head subspace self-attention.
//
// The bases U_1 .. U_K are stored as one matrix u (K P, D) whose rows k P .. (k + 1) P - 1 are U_k^T: the projection, its gradient, the
// tied output and decoding are then single products without a copy. `subspaces` shows it as (K, D, P).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "aot/ops/attention.h"
#include "aot/ops/heads.h"
#include "aot/ops/rotary.h"

namespace aot {

/// u (K P, D) as the bases (K, D, P): a view.
at::Tensor subspaces(const at::Tensor& u, int64_t heads);

struct MssaOptions {
  int64_t heads = 1;
  AttentionOptions attention;           // causal, key mask, scale (P^-1/2 unless given; the paper's theory has 1)
  const RotaryTable* rotary = nullptr;  // queries and keys turned, values not; null: no positions
  TapScope taps;                        // "projections", "scores", "weights", "heads"
};

/// sum_k softmax(c A_k A_k^T) A_k R_k with A_k = x U_k: the update; step and skip belong to the block.   [Wang et al. 2025, Eq. (3)]
///   x (B, T, D) tokens as rows;  u (K P, D);  returns (B, T, D), dtype and device of x.
///   R_k = U_k^T when `output.u` is u (tied, the paper's figure), or a block of a free matrix (untied, the paper's parameter counts).
///   Deviations from the paper's form, each an option: scale c, rotary positions, free output, bias, gate; the coding-rate factor is
///   dropped. Throws c10::ValueError on rank or width mismatch.   Cost: O(B K T^2 P) time, O(B K T P) memory.
at::Tensor mssa(const at::Tensor& x, const at::Tensor& u, const HeadOutput& output, const MssaOptions& options);

/// A_k of all heads, (B, K, T, P): a view of one product.
at::Tensor mssa_projections(const at::Tensor& x, const at::Tensor& u, int64_t heads);

}  // namespace aot
