// SPDX-License-Identifier: Apache-2.0
// Bidirectional MSSA with any phi in bounded memory, and what a layer's softmax looked like: for the theory, where tokens are many, float64
// matters and nothing is learnt. No (T, T) matrix is ever held: tiles of scores live in the cache.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/ops/mssa_reference.h"

namespace aot {

struct MssaStreamedOptions {
  double scale = 1;  // c; the paper has 1. 0: P_k^-1/2
  Weighting phi = Weighting::softmax;
  double tau = 0.5;         // for softmax_threshold
  bool statistics = false;  // fill SoftmaxRows (softmax and softmax_threshold only)
};

/// One head's softmax before any threshold, by query. Undefined unless asked for.
struct SoftmaxRows {
  at::Tensor own;       // (T,) probability of the token itself
  at::Tensor other;     // (T,) largest probability of another token; 0 when there is none
  at::Tensor other_at;  // (T,) int64, that token where `other` exceeds tau; -1 elsewhere
  at::Tensor entropy;   // (T,) nats
};

struct StreamedHeads {
  at::Tensor output;              // (T, P_1 + .. + P_K): phi(c A_k A_k^T) A_k side by side
  std::vector<SoftmaxRows> rows;  // of each head, or empty
};

/// phi(c A_k A_k^T) A_k for heads side by side in `a` (T, P_1 + .. + P_K), of widths `dims`; every token reads every token.
///   Softmax takes the symmetric form while c (|a|^2 largest - smallest) of a head is at most 1200, and keeps running maxima otherwise:
///   with n_i = S_ii, E_ij = exp(S_ij - (n_i + n_j) / 2) is symmetric and in (0, 1], so each tile of scores serves twice, and W_ij = E_ij
///   g_j / sum_j E_ij g_j with g_j = exp(n_j / 2 - C). Throws c10::ValueError on rank or width mismatch.   Cost: O(T^2 P) time (identity
///   O(T P^2)), O(T P) memory. Not differentiable.
StreamedHeads mssa_heads_streamed(const at::Tensor& a, const std::vector<int64_t>& dims, const MssaStreamedOptions& options);

}  // namespace aot
