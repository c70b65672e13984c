// SPDX-License-Identifier: Apache-2.0
#include "aot/train/update_rule.h"

#include <cmath>
#include <optional>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "aot/kernels/cpu/optimizer.h"

namespace aot {
namespace {

constexpr double kEpsilon = 1e-8;

void adamw_by_operators(const UpdateBuffers& b, const UpdateStep& step) {
  const at::Tensor t = at::full({}, static_cast<double>(step.t), b.values.options());
  const at::Tensor divisor = at::full({}, step.gradient_divisor, b.values.options());
  at::_fused_adamw_({b.values}, {b.gradients}, {b.first}, {b.second}, {}, {t}, step.lr, step.beta1, step.beta2, step.weight_decay, kEpsilon,
                    /*amsgrad=*/false, /*maximize=*/false, divisor);
}

void lion_by_operators(const UpdateBuffers& b, const UpdateStep& step) {
  const at::Tensor g = b.gradients.div_(step.gradient_divisor);
  const at::Tensor direction = b.first.mul(step.beta1).add_(g, 1 - step.beta1).sign_();
  b.values.mul_(1 - step.lr * step.weight_decay).add_(direction, -step.lr);
  b.first.mul_(step.beta2).add_(g, 1 - step.beta2);
}

}  // namespace

std::string_view name_of(UpdateRule rule) {
  return rule == UpdateRule::adamw ? "adamw" : "lion";
}

void update(const UpdateBuffers& b, const UpdateStep& step) {
  if (b.values.numel() == 0) return;
  if (!b.values.is_cpu()) return update_by_operators(b, step);
  const bool adamw = step.rule == UpdateRule::adamw;
  const auto t = static_cast<double>(step.t);
  const UpdateParams params{.value = b.values.mutable_data_ptr<float>(),
                            .gradient = b.gradients.mutable_data_ptr<float>(),
                            .first = b.first.mutable_data_ptr<float>(),
                            .second = adamw ? b.second.mutable_data_ptr<float>() : nullptr,
                            .average = b.average.defined() ? b.average.mutable_data_ptr<float>() : nullptr,
                            .size = b.values.numel(),
                            .gradient_scale = static_cast<float>(1 / step.gradient_divisor),
                            .keep = static_cast<float>(1 - step.lr * step.weight_decay),
                            .beta1 = static_cast<float>(step.beta1),
                            .beta2 = static_cast<float>(step.beta2),
                            .rate = static_cast<float>(adamw ? step.lr / (1 - std::pow(step.beta1, t)) : step.lr),
                            .root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, t))),
                            .epsilon = static_cast<float>(kEpsilon),
                            .average_rate = static_cast<float>(1 - step.average_decay)};
  const int64_t blocks = (params.size + kOptimizerBlock - 1) / kOptimizerBlock;
  at::parallel_for(0, blocks, 4,
                   [&](int64_t begin, int64_t end) { adamw ? aot::adamw(params, begin, end) : aot::lion(params, begin, end); });
}

void update_by_operators(const UpdateBuffers& b, const UpdateStep& step) {
  const c10::NoGradGuard no_grad;
  step.rule == UpdateRule::adamw ? adamw_by_operators(b, step) : lion_by_operators(b, step);
  if (b.average.defined()) b.average.lerp_(b.values, 1 - step.average_decay);
  b.gradients.zero_();
}

}  // namespace aot
