// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/attention.h"

#include <cmath>
#include <limits>

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include "aot/ops/mssa_kernel.h"
#include "aot/ops/own_kernels.h"

namespace aot {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

double resolved_scale(const AttentionOptions& options, const at::Tensor& q) {
  return options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(q.size(-1)));
}

/// Whether some row may be left without any key to read.
bool may_blind(const AttentionOptions& options) {
  return options.key_mask.defined() || options.mask.defined();
}

/// What the fused operators take in place of `options`: an additive mask only where causality alone does not say it all.
struct FusedMask {
  bool causal = false;
  at::Tensor additive;  // (T, T) or (B or 1, 1 or K, T, T) in the dtype of q, or undefined
  at::Tensor blind;     // the same with one column, bool: rows that may read nothing; undefined when there can be none
};

FusedMask fused_mask(const at::Tensor& q, const AttentionOptions& options) {
  if (!may_blind(options)) return {.causal = options.causal};
  const at::Tensor visible = visible_keys(q.size(-2), options, q.device());
  FusedMask mask;
  mask.blind = visible.any(-1, /*keepdim=*/true).logical_not();
  // A blind row reads everything, so that no NaN arises, and its output is set to 0 afterwards.
  mask.additive = at::zeros(visible.sizes(), q.options().requires_grad(false));
  mask.additive.masked_fill_((visible | mask.blind).logical_not(), -std::numeric_limits<double>::infinity());
  return mask;
}

at::Tensor without_blind_rows(const at::Tensor& heads, const FusedMask& mask) {
  return mask.blind.defined() ? heads.masked_fill(mask.blind, 0) : heads;
}

std::optional<at::Tensor> defined_or_none(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

/// Attention with `qk` as query and key and `v` as value, `v` undefined meaning `qk` itself, on LibTorch's flash operator for CPUs.
/// Saved: qk, v, the output and the rows' log-sum-exp; the weights are recomputed in the backward.
struct SubspaceAttention : torch::autograd::Function<SubspaceAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qk, const std::optional<at::Tensor>& v, bool causal,
                            const std::optional<at::Tensor>& mask, double scale) {
    auto [output, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(qk, qk, v.value_or(qk), 0.0, causal, mask, scale);
    context->save_for_backward({qk, v.value_or(at::Tensor()), output, log_sum_exp, mask.value_or(at::Tensor())});
    context->saved_data["causal"] = causal;
    context->saved_data["scale"] = scale;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &qk = saved[0], &v = saved[1], &output = saved[2], &log_sum_exp = saved[3], &mask = saved[4];
    auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        gradients[0], qk, qk, v.defined() ? v : qk, output, log_sum_exp, 0.0, context->saved_data["causal"].toBool(), defined_or_none(mask),
        context->saved_data["scale"].toDouble());
    dq.add_(dk);
    if (!v.defined()) dq.add_(dv);
    return {dq, v.defined() ? dv : at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

bool wants_weights(const TapScope& taps) {
  return taps.wants("scores") || taps.wants("weights");
}

/// `turned` and `a` may be the same tensor.
at::Tensor fused_subspace_attention(const at::Tensor& turned, const at::Tensor& a, const AttentionOptions& options) {
  const FusedMask mask = fused_mask(a, options);
  const double scale = resolved_scale(options, a);
  if (a.is_cpu()) {
    const std::optional<at::Tensor> value = turned.is_same(a) ? std::nullopt : std::optional<at::Tensor>(a);
    return without_blind_rows(SubspaceAttention::apply(turned, value, mask.causal, defined_or_none(mask.additive), scale), mask);
  }
  return without_blind_rows(at::scaled_dot_product_attention(turned, turned, a, defined_or_none(mask.additive), 0.0, mask.causal, scale),
                            mask);
}

void check_heads(const at::Tensor& q, const AttentionOptions& options) {
  TORCH_CHECK_VALUE(q.dim() == 4, "attention: q must be (B, K, T, P), got ", q.sizes());
  TORCH_CHECK_VALUE(!options.key_mask.defined() || (options.key_mask.dim() == 2 && options.key_mask.size(0) == q.size(0) &&
                                                    options.key_mask.size(1) == q.size(2) && options.key_mask.scalar_type() == at::kBool),
                    "attention: key_mask must be (B, T) bool = (", q.size(0), ", ", q.size(2), "), got ", options.key_mask.sizes(), " ",
                    options.key_mask.scalar_type());
  if (!options.mask.defined()) return;
  const at::Tensor& mask = options.mask;
  const int64_t tokens = q.size(2);
  const auto fits = [&](int64_t axis, int64_t size) { return mask.size(axis) == 1 || mask.size(axis) == size; };
  TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool && (mask.dim() == 2 || (mask.dim() == 4 && fits(0, q.size(0)) && fits(1, q.size(1)))) &&
                        mask.size(-1) == tokens && mask.size(-2) == tokens,
                    "attention: mask must be bool (T, T) or (B, K, T, T) = (", q.size(0), ", ", q.size(1), ", ", tokens, ", ", tokens,
                    "), with 1 for B or K at will, got ", mask.sizes(), " ", mask.scalar_type());
}

}  // namespace

at::Tensor visible_keys(const c10::SymInt& tokens, const AttentionOptions& options, at::Device device) {
  at::Tensor visible;
  if (options.causal) visible = at::ones_symint({tokens, tokens}, at::TensorOptions(at::kBool).device(device)).tril();
  if (options.key_mask.defined()) {
    const at::Tensor keys = options.key_mask.unsqueeze(1).unsqueeze(1);  // (B, 1, 1, T)
    visible = visible.defined() ? visible.logical_and(keys) : keys.expand_symint({-1, 1, tokens, tokens});
  }
  if (options.mask.defined()) visible = visible.defined() ? visible.logical_and(options.mask) : options.mask;
  return visible;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options, const TapScope& taps) {
  check_heads(q, options);
  if (wants_weights(taps)) return attention_reference(q, k, v, options, taps);
  const FusedMask mask = fused_mask(q, options);
  return without_blind_rows(
      at::scaled_dot_product_attention(q, k, v, defined_or_none(mask.additive), 0.0, mask.causal, resolved_scale(options, q)), mask);
}

at::Tensor subspace_attention(const at::Tensor& a, const RotaryTable* rotary, const AttentionOptions& options, const TapScope& taps) {
  check_heads(a, options);
  if (!wants_weights(taps) && mssa_kernel_serves(a, options)) return mssa_kernel_attention(a, rotary, options);
  const at::Tensor turned = rotary != nullptr ? rotate(a, *rotary) : a;
  if (wants_weights(taps)) return attention_reference(turned, turned, a, options, taps);
  if (own_kernels() && a.is_cpu() && a.scalar_type() != at::kDouble && !options.mask.defined()) {
    TORCH_WARN_ONCE("subspace attention: heads of ", a.size(-1), " numbers in ", a.scalar_type(),
                    " take LibTorch's operator; the own kernels serve multiples of 8 from 16 to 128 in float32 and bfloat16");
  }
  return fused_subspace_attention(turned, a, options);
}

at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options,
                               const TapScope& taps) {
  check_heads(q, options);
  at::Tensor scores = at::matmul(q, k.transpose(-1, -2)) * resolved_scale(options, q);  // (B, K, T, T)
  const at::Tensor visible = visible_keys(q.size(-2), options, q.device());
  if (visible.defined()) scores = scores.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  scores = taps("scores", scores);
  at::Tensor weights = scores.softmax(-1);
  if (may_blind(options)) weights = weights.masked_fill(visible.any(-1, true).logical_not(), 0);
  weights = taps("weights", weights);
  return at::matmul(weights, v);
}

}  // namespace aot
