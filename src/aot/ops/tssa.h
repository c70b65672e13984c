// SPDX-License-Identifier: Apache-2.0
// Token statistics self-attention (ToST): linear time, no pairwise scores.   [Wu et al. 2025, Token Statistics Transformer]
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace aot {

struct TssaOptions {
  bool causal = true;
  at::Tensor key_mask;  // (B, T) bool, true = real token; undefined when all are
};

/// Gated heads (B, K, T, P) of w (B, K, T, P) = x U_k, before the output projection. With v = w^2:
///   causal          s_t = sum_{s <= t} v_s;   Pi = softmax over heads of temperature_k sum_p (v_t / s_t + bias_kt)
///                   m_t = sum_{s <= t} Pi_s v_s / (sum_{s <= t} Pi_s + 1e-8)
///   bidirectional   the same sums over all tokens, without bias
///   y = -w Pi / (1 + m)
/// The sign and the form follow the authors' code; s is kept above 1e-12 as there. Tokens outside the key mask enter no sum and give 0.
///   temperature (K,);  bias (K, context), causal only, so that a causal input may not exceed the context.   Cost: O(B T K P).
at::Tensor tssa(const at::Tensor& w, const at::Tensor& temperature, const at::Tensor& bias, const TssaOptions& options);

/// Sums over the tokens seen so far: all that decoding needs.
struct TssaState {
  at::Tensor square;           // sum v (B, K, P)
  at::Tensor weighted_square;  // sum Pi v (B, K, P)
  at::Tensor weight;           // sum Pi (B, K)
};

/// The causal form for n new tokens w (B, K, n, P) from position `first` on; adds them to `state`.
at::Tensor tssa_step(const at::Tensor& w, const at::Tensor& temperature, const at::Tensor& bias, int64_t first, TssaState& state);

}  // namespace aot
