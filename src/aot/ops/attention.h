// SPDX-License-Identifier: Apache-2.0
// Softmax attention of heads. Subspace attention is the case in which queries, keys and values are one tensor, and has kernels of its own.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>

#include "aot/ops/rotary.h"
#include "aot/ops/taps.h"

namespace aot {

/// Which keys a query reads, and what multiplies the scores.
struct AttentionOptions {
  bool causal = true;
  at::Tensor key_mask;  // (B, T) bool, true = real token; undefined when all are
  at::Tensor mask;      // bool, true = query (row) may read key (column): (T, T), (B or 1, 1, T, T) or (B or 1, K, T, T); or undefined
  double scale = 0;     // 0: P^-1/2
};

/// softmax(scale q k^T + mask) v per head. A row that may read no key gives 0.
///   q, k, v (B, K, T, P), any strides with contiguous rows;  returns (B, K, T, P) laid out as (B, T, K, P).
///   Differentiable. Taps "scores" and "weights" make it take the explicit path.   Cost: O(B K T^2 P) time, O(B K T P) memory when fused.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options,
                     const TapScope& taps = {});

/// The same with `a` as query, key and value; under `rotary` positions queries and keys are turned, values are not. On the CPU the
/// project's own kernels where they serve (mssa_kernel.h), else LibTorch's operator, said once; with a `mask` always the latter. One
/// operand is kept for backward.
at::Tensor subspace_attention(const at::Tensor& a, const RotaryTable* rotary, const AttentionOptions& options, const TapScope& taps = {});

/// The plain form, written from the equation: scores and weights are materialised.
at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options,
                               const TapScope& taps = {});

/// (T, T) or (B or 1, 1 or K, T, T) bool, true = query (row) may read key (column); undefined when every query reads every key.
at::Tensor visible_keys(const c10::SymInt& tokens, const AttentionOptions& options, at::Device device);

}  // namespace aot
