// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mssa.h"

#include "aot/ops/linear.h"

namespace aot {

at::Tensor subspaces(const at::Tensor& u, int64_t heads) {
  return u.view({heads, -1, u.size(1)}).transpose(1, 2);
}  // (K, D, P)

at::Tensor mssa_projections(const at::Tensor& x, const at::Tensor& u, int64_t heads) {
  return split_heads(linear_layer(x, u), heads);
}

at::Tensor mssa(const at::Tensor& x, const at::Tensor& u, const HeadOutput& output, const MssaOptions& options) {
  TORCH_CHECK_VALUE(x.dim() == 3, "mssa: x must be (B, T, D), got ", x.sizes());
  TORCH_CHECK_VALUE(u.dim() == 2 && u.size(1) == x.size(2) && u.size(0) % options.heads == 0,
                    "mssa: u must be (K P, D) with K = ", options.heads, " and D = ", x.size(2), ", got ", u.sizes());
  const TapScope& taps = options.taps;
  const at::Tensor a = taps("projections", mssa_projections(x, u, options.heads));  // (B, K, T, P)
  const at::Tensor heads = taps("heads", subspace_attention(a, options.rotary, options.attention, taps));
  return heads_to_update(join_heads(heads), x, output);
}

}  // namespace aot
