// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/heads.h"

#include <ATen/ops/silu.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/linear.h"

namespace aot {

at::Tensor split_heads(const at::Tensor& x, int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);  // (B, K, T, P)
}

at::Tensor join_heads(const at::Tensor& heads) {
  return heads.transpose(1, 2).flatten(2);
}  // (B, T, K P)

at::Tensor heads_to_update(const at::Tensor& joined, const at::Tensor& x, const HeadOutput& output) {
  const at::Tensor gated = output.w_gate.defined() ? joined * at::silu(linear_layer(x, output.w_gate)) : joined;
  if (output.w_out.defined()) return linear_layer(gated, output.w_out, output.b_out);
  const at::Tensor update = linear_layer_transposed(gated, output.u);
  return output.b_out.defined() ? update + output.b_out : update;
}

}  // namespace aot
