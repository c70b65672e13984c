// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mssa_kernel.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "aot/core/log.h"
#include "aot/kernels/cpu/mssa.h"
#include "aot/ops/own_kernels.h"
#include "aot/ops/tasks.h"

namespace aot {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::atomic<int64_t> heads_forward{0}, heads_fallback{0};

HeadsView view_of(const at::Tensor& heads) {  // (B, K, T, P)
  return {.data = heads.data_ptr(), .batch = heads.stride(0), .token = heads.stride(2), .head = heads.stride(1)};
}

MssaParams params_of(const at::Tensor& a, const MssaSetting& setting) {
  MssaParams params{.batch = a.size(0), .heads = a.size(1), .tokens = a.size(2), .dim = a.size(3)};
  params.causal = setting.causal;
  params.bfloat16 = a.scalar_type() == at::kBFloat16;
  params.scale = static_cast<float>(setting.scale);
  if (setting.key_mask.defined()) params.key_mask = reinterpret_cast<const uint8_t*>(setting.key_mask.const_data_ptr<bool>());
  if (setting.cos.defined()) {
    params.cos = setting.cos.const_data_ptr<float>();
    params.sin = setting.sin.const_data_ptr<float>();
  }
  params.w = view_of(a);
  return params;
}

/// Runs all tasks; the union of what they met. Parts of a head lie behind each other with the longest last, so tasks go backwards.
std::vector<uint8_t> run(MssaParams& params, void (*kernel)(const MssaParams&, int64_t, int64_t, float*)) {
  const int64_t tasks = params.batch * params.heads * mssa_parts(params);
  std::vector<uint8_t> notices(static_cast<size_t>(tasks));
  params.notices = notices.data();
  run_tasks(tasks, mssa_scratch(params), [&](int64_t task, float* scratch) {
    const int64_t last_first = tasks - 1 - task;
    kernel(params, last_first, last_first + 1, scratch);
  });
  return notices;
}

bool any_non_finite(const std::vector<uint8_t>& notices) {
  return std::any_of(notices.begin(), notices.end(), [](uint8_t notice) { return (notice & kMssaNonFinite) != 0; });
}

void count(const std::vector<uint8_t>& notices, int64_t heads) {
  const int64_t parts = static_cast<int64_t>(notices.size()) / heads;
  int64_t fallbacks = 0;
  for (int64_t head = 0; head < heads; ++head) {
    uint8_t met = 0;
    for (int64_t part = 0; part < parts; ++part) met |= notices[static_cast<size_t>(head * parts + part)];
    fallbacks += (met & kMssaFallback) != 0 ? 1 : 0;
  }
  heads_forward += heads;
  if (fallbacks > 0 && heads_fallback.fetch_add(fallbacks) == 0)
    log_warning("subspace attention: some heads' norms differ too much for the fast path; they take the slower one, with the same result");
}

at::Tensor empty_heads(const at::Tensor& like) {  // (B, K, T, P), laid out as (B, T, K, P)
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options().requires_grad(false)).transpose(1, 2);
}

at::Tensor with_contiguous_rows(const at::Tensor& heads) {
  return heads.stride(-1) == 1 || heads.size(-1) == 1 ? heads : heads.contiguous();
}

at::Tensor reference(const at::Tensor& a, const MssaSetting& setting) {
  at::Tensor turned = a;
  if (setting.cos.defined()) turned = rotate_by(a, setting.cos, setting.sin);
  return attention_reference(turned, turned, a, {.causal = setting.causal, .key_mask = setting.key_mask, .scale = setting.scale});
}

/// The gradient by autograd of the plain form; with a graph of its own when `again`, to be differentiated once more.
at::Tensor through_reference(const at::Tensor& a, const MssaSetting& setting, const at::Tensor& gradient, bool again) {
  const at::AutoGradMode enabled(true);
  const at::Tensor input = again ? a : a.detach().requires_grad_();
  return torch::autograd::grad({reference(input, setting)}, {input}, {gradient}, again, again)[0];
}

/// Whether the forward went by the plain form.
bool took_reference(const at::Tensor& statistics) {
  return std::isnan(statistics.const_data_ptr<float>()[statistics.size(3)]);  // 1 / l of the first token
}

struct MssaKernel : torch::autograd::Function<MssaKernel> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& heads, const MssaSetting& setting) {
    const at::Tensor a = with_contiguous_rows(heads);
    const MssaPass pass = mssa_kernel_forward(a, setting);
    context->save_for_backward({a, pass.out, pass.statistics, setting.key_mask, setting.cos, setting.sin});
    context->saved_data["causal"] = setting.causal;
    context->saved_data["scale"] = setting.scale;
    return pass.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& a = saved[0];
    const MssaPass pass{.out = saved[1], .statistics = saved[2]};
    const MssaSetting setting{.key_mask = saved[3],
                              .cos = saved[4],
                              .sin = saved[5],
                              .causal = context->saved_data["causal"].toBool(),
                              .scale = context->saved_data["scale"].toDouble()};
    if (c10::GradMode::is_enabled()) return {through_reference(a, setting, gradients[0], true), at::Tensor()};
    return {mssa_kernel_backward(gradients[0], a, pass, setting), at::Tensor()};
  }
};

}  // namespace

MssaPass mssa_kernel_forward(const at::Tensor& heads, const MssaSetting& setting) {
  const at::Tensor a = with_contiguous_rows(heads);
  MssaPass pass{.out = empty_heads(a),
                .statistics = at::empty({a.size(0), a.size(1), 2, a.size(2)}, a.options().dtype(at::kFloat).requires_grad(false))};
  if (a.numel() == 0) return pass;
  MssaParams params = params_of(a, setting);
  params.out = view_of(pass.out);
  params.statistics = pass.statistics.mutable_data_ptr<float>();
  const std::vector<uint8_t> notices = run(params, mssa_forward);
  count(notices, params.batch * params.heads);
  if (any_non_finite(notices)) {
    pass.out.copy_(reference(a, setting));
    pass.statistics.fill_(std::numeric_limits<float>::quiet_NaN());
  }
  return pass;
}

at::Tensor mssa_kernel_backward(const at::Tensor& gradient, const at::Tensor& heads, const MssaPass& pass, const MssaSetting& setting) {
  const at::Tensor a = with_contiguous_rows(heads), d_out = with_contiguous_rows(gradient), out = with_contiguous_rows(pass.out);
  at::Tensor dw = empty_heads(a), partial;
  if (a.numel() == 0) return dw;
  if (took_reference(pass.statistics)) return dw.copy_(through_reference(a, setting, d_out, false));
  MssaParams params = params_of(a, setting);
  params.out = view_of(out);
  params.statistics = pass.statistics.data_ptr<float>();
  params.d_out = view_of(d_out);
  params.dw = view_of(dw);
  const int64_t all_heads = params.batch * params.heads, parts = mssa_parts(params);
  if (parts > 1) {
    partial = at::empty({all_heads, parts, params.tokens, params.dim}, pass.statistics.options());
    params.partial = partial.mutable_data_ptr<float>();
  }
  if (any_non_finite(run(params, mssa_backward))) return dw.copy_(through_reference(a, setting, d_out, false));
  if (parts > 1) run_tasks(all_heads, 0, [&](int64_t head, float*) { mssa_backward_sum(params, head, head + 1); });
  return dw;
}

bool mssa_kernel_serves(const at::Tensor& a, const AttentionOptions& options) {
  return own_kernels() && a.is_cpu() && (a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16) &&
         mssa_kernel_takes(a.size(-1)) && options.scale >= 0 && !options.mask.defined();
}

at::Tensor mssa_kernel_attention(const at::Tensor& a, const RotaryTable* rotary, const AttentionOptions& options) {
  MssaSetting setting{.causal = options.causal,
                      .scale = options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(a.size(-1)))};
  if (options.key_mask.defined()) setting.key_mask = options.key_mask.contiguous();
  if (rotary != nullptr) {
    setting.cos = rotary->cos(0, a.size(2), at::kFloat);
    setting.sin = rotary->sin(0, a.size(2), at::kFloat);
  }
  return MssaKernel::apply(a, setting);
}

MssaCounts mssa_counts() {
  return {.heads = heads_forward.load(), .fallbacks = heads_fallback.load()};
}

double fallback_share(const MssaCounts& before, const MssaCounts& after) {
  const int64_t heads = after.heads - before.heads;
  return heads == 0 ? 0 : static_cast<double>(after.fallbacks - before.fallbacks) / static_cast<double>(heads);
}

}  // namespace aot
