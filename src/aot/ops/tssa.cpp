// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/tssa.h"

#include <ATen/ops/cumsum.h>
#include <ATen/TensorOperators.h>

namespace aot {
namespace {

constexpr double kSmallestSquare = 1e-12;  // of a sum of squares that is divided by
constexpr double kSmallestWeight = 1e-8;   // added to a sum of weights

/// The causal form with sums that start at `before` (undefined: at 0); the sums after the last token go to `after` when not null.
at::Tensor causal_tssa(const at::Tensor& w, const at::Tensor& temperature, const at::Tensor& bias, const at::Tensor& real,
                       const TssaState& before, TssaState* after) {
  const at::Tensor square = w.square();
  const auto running = [](const at::Tensor& x, const at::Tensor& start) {
    const at::Tensor sums = x.cumsum(2);
    return start.defined() ? sums + start.unsqueeze(2) : sums;
  };
  const at::Tensor sums = running(square, before.square);  // (B, K, T, P)
  const at::Tensor score = (square / sums.clamp_min(kSmallestSquare) + bias.unsqueeze(-1)).sum(-1) * temperature.unsqueeze(-1);
  at::Tensor pi = score.softmax(1);  // (B, K, T): over heads
  if (real.defined()) pi = pi * real;
  const at::Tensor weighted = running(square * pi.unsqueeze(-1), before.weighted_square);
  const at::Tensor weight = running(pi, before.weight);
  if (after != nullptr) *after = {sums.select(2, -1).clone(), weighted.select(2, -1).clone(), weight.select(2, -1).clone()};
  const at::Tensor moment = weighted / (weight + kSmallestWeight).unsqueeze(-1);
  return -(w * pi.unsqueeze(-1)) / (1 + moment);
}

}  // namespace

at::Tensor tssa(const at::Tensor& w, const at::Tensor& temperature, const at::Tensor& bias, const TssaOptions& options) {
  // Sizes may be symbols: compilers trace this function.
  TORCH_CHECK_VALUE(w.dim() == 4, "tssa: w must be (B, K, T, P), got ", w.sym_sizes());
  TORCH_CHECK_VALUE(temperature.dim() == 1 && temperature.sym_size(0) == w.sym_size(1),
                    "tssa: temperature must be (K,) with K = ", w.sym_size(1), ", got ", temperature.sym_sizes());
  at::Tensor real, visible = w;
  if (options.key_mask.defined()) {
    real = options.key_mask.unsqueeze(1).to(w.scalar_type());                               // (B, 1, T)
    visible = w.masked_fill(options.key_mask.unsqueeze(1).unsqueeze(-1).logical_not(), 0);  // also where w is not finite
  }
  if (options.causal) {
    const c10::SymInt tokens = w.sym_size(2);
    TORCH_CHECK_VALUE(bias.defined() && bias.dim() == 2 && bias.sym_size(0) == w.sym_size(1) && bias.sym_size(1) >= tokens,
                      "tssa: bias must be (K, context) with K = ", w.sym_size(1), " and context >= ", tokens, ", got ",
                      bias.defined() ? bias.sym_sizes() : c10::SymIntArrayRef());
    return causal_tssa(visible, temperature, bias.narrow_symint(1, 0, tokens), real, {}, nullptr);
  }
  const at::Tensor square = visible.square();
  const at::Tensor share = square / square.sum(2, /*keepdim=*/true).clamp_min(kSmallestSquare);
  at::Tensor pi = (share.sum(-1) * temperature.unsqueeze(-1)).softmax(1);  // (B, K, T)
  if (real.defined()) pi = pi * real;
  const at::Tensor moment = (square * pi.unsqueeze(-1)).sum(2, true) / (pi.sum(-1, true).unsqueeze(-1) + kSmallestWeight);  // (B, K, 1, P)
  return -(visible * pi.unsqueeze(-1)) / (1 + moment);
}

at::Tensor tssa_step(const at::Tensor& w, const at::Tensor& temperature, const at::Tensor& bias, int64_t first, TssaState& state) {
  const int64_t tokens = w.size(2);
  TORCH_CHECK_VALUE(first + tokens <= bias.size(1), "tssa: position ", first + tokens - 1, " is past the context of ", bias.size(1));
  const TssaState before = state;
  return causal_tssa(w, temperature, bias.narrow(1, first, tokens), {}, before, &state);
}

}  // namespace aot
