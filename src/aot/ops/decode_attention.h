// SPDX-License-Identifier: Apache-2.0
// Attention of one new token over cached rows: what decoding does most.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "aot/ops/rotary.h"

namespace aot {

/// softmax(scale q K^T) V over the first `tokens` cached rows.
///   q (B, K, P);  keys, values (B, K, S, P), the same tensor for subspace attention;  returns (B, K, P).
///   With `rotary`, keys are cached unturned and q is turned towards each by the distance between them: query at position tokens - 1,
///   key j at j, score_j = (R(tokens - 1 - j) q) . k_j, so that one cache serves as key and value.
///   float32 on a CPU takes one loop without LibTorch's dispatcher; all else takes its operators. No gradient.
at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, int64_t tokens, double scale,
                            const RotaryTable* rotary);

}  // namespace aot
