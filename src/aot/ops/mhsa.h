// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "aot/ops/attention.h"
#include "aot/ops/heads.h"
#include "aot/ops/rotary.h"

namespace aot {

struct MhsaOptions {
  int64_t heads = 1;
  AttentionOptions attention;
  const RotaryTable* rotary = nullptr;  // queries and keys turned, values not; null: no positions
  TapScope taps;                        // "queries", "keys", "values", "scores", "weights", "heads"
};

/// Queries, keys and values (B, K, T, P) of x (B, T, D): three views of one product. w_qkv (3 K P, D): rows of W_q, then W_k, then W_v.
struct QueriesKeysValues {
  at::Tensor q, k, v;
};
QueriesKeysValues mhsa_projections(const at::Tensor& x, const at::Tensor& w_qkv, const at::Tensor& b_qkv, int64_t heads);

/// Multi-head self-attention with free queries, keys and values: the update (B, T, D).   [Vaswani et al. 2017, section 3.2]
/// With W_q = W_k = W_v = u and a tied output it is `mssa`, which a test holds.
at::Tensor mhsa(const at::Tensor& x, const at::Tensor& w_qkv, const at::Tensor& b_qkv, const HeadOutput& output,
                const MhsaOptions& options);

}  // namespace aot
