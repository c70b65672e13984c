// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/decomposed.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/attention.h"

namespace aot {

RotaryRows rotary_rows(double base, const c10::SymInt& first, const c10::SymInt& tokens, int64_t head_dim,
                       const at::TensorOptions& options) {
  const auto wide = options.dtype(at::kDouble);
  const at::Tensor frequencies = at::pow(base, at::arange(head_dim / 2, wide) * (-2.0 / static_cast<double>(head_dim)));
  const at::Tensor angles = at::arange(first, first + tokens, wide).unsqueeze(1) * frequencies;  // (T, P/2)
  return {angles.cos().to(options.dtype()), angles.sin().to(options.dtype())};
}

at::Tensor rotate_decomposed(const at::Tensor& x, const RotaryRows& rows) {
  if (x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16)
    return rotate_decomposed(x.to(at::kFloat), rows).to(x.scalar_type());
  const auto halves = x.chunk(2, -1);
  const at::Tensor &low = halves[0], &high = halves[1];
  return at::cat({low * rows.cos - high * rows.sin, high * rows.cos + low * rows.sin}, -1);
}

at::Tensor attention_decomposed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal, const at::Tensor& key_mask) {
  if (!key_mask.defined()) return at::scaled_dot_product_attention(q, k, v, {}, 0.0, causal);
  const at::Tensor visible = visible_keys(q.sym_size(2), {.causal = causal, .key_mask = key_mask}, q.device());
  // A blind row reads everything, so that no NaN arises, and its output is set to 0 afterwards.
  const at::Tensor blind = visible.any(-1, /*keepdim=*/true).logical_not();
  return at::scaled_dot_product_attention(q, k, v, visible.logical_or(blind)).masked_fill(blind, 0);
}

}  // namespace aot
