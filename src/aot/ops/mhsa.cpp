// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mhsa.h"

#include "aot/ops/linear.h"

namespace aot {

QueriesKeysValues mhsa_projections(const at::Tensor& x, const at::Tensor& w_qkv, const at::Tensor& b_qkv, int64_t heads) {
  const at::Tensor qkv = linear_layer(x, w_qkv, b_qkv);                                              // (B, T, 3 K P)
  const at::Tensor parts = qkv.view({x.size(0), x.size(1), 3, heads, -1}).permute({2, 0, 3, 1, 4});  // (3, B, K, T, P)
  return {parts[0], parts[1], parts[2]};
}

at::Tensor mhsa(const at::Tensor& x, const at::Tensor& w_qkv, const at::Tensor& b_qkv, const HeadOutput& output,
                const MhsaOptions& options) {
  TORCH_CHECK_VALUE(x.dim() == 3, "mhsa: x must be (B, T, D), got ", x.sizes());
  TORCH_CHECK_VALUE(w_qkv.dim() == 2 && w_qkv.size(1) == x.size(2) && w_qkv.size(0) % (3 * options.heads) == 0,
                    "mhsa: w_qkv must be (3 K P, D) with K = ", options.heads, " and D = ", x.size(2), ", got ", w_qkv.sizes());
  auto [q, k, v] = mhsa_projections(x, w_qkv, b_qkv, options.heads);
  const TapScope& taps = options.taps;
  q = taps("queries", q);
  k = taps("keys", k);
  v = taps("values", v);
  if (options.rotary != nullptr) {
    q = rotate(q, *options.rotary);
    k = rotate(k, *options.rotary);
  }
  const at::Tensor heads = taps("heads", attention(q, k, v, options.attention, taps));
  return heads_to_update(join_heads(heads), x, output);
}

}  // namespace aot
