// SPDX-License-Identifier: Apache-2.0
#include "aot/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "aot/core/tensor_file.h"
#include "aot/kernels/cpu/adamw.h"

namespace aot {
namespace {

constexpr double kEpsilon = 1e-8;
constexpr int64_t kAlignment = 16;  // numbers: every parameter starts on a cache line, those between two are 0 and stay so

int64_t blocks_of(const at::Tensor& buffer) {
  return (buffer.numel() + kOptimizerBlock - 1) / kOptimizerBlock;
}

double square_sum(const at::Tensor& buffer) {
  if (!buffer.is_cpu()) {
    const double norm = at::linalg_vector_norm(buffer, 2, at::OptionalIntArrayRef(), false, at::kDouble).item<double>();
    return norm * norm;
  }
  std::vector<double> sums(static_cast<size_t>(blocks_of(buffer)));
  at::parallel_for(0, blocks_of(buffer), 8, [&](int64_t begin, int64_t end) {
    square_sums(buffer.const_data_ptr<float>(), buffer.numel(), sums.data(), begin, end);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

void describe(Fields& fields, AdamWOptions& options) {
  fields.add("weight-decay", options.weight_decay, "decoupled decay of tensors of rank 2 and more").min(0);
  fields.add("beta1", options.beta1, "AdamW's memory of the gradient").min(0).max(0.999999);
  fields.add("beta2", options.beta2, "AdamW's memory of its square").min(0).max(0.999999);
}

AdamW::AdamW(const Parameters& parameters, const AdamWOptions& options) : parameters_(parameters), options_(options) {
  groups_[1].weight_decay = options.weight_decay;
  std::array<int64_t, 2> sizes = {};
  for (const Parameter& parameter : parameters_) {
    const at::Tensor& value = parameter.value;
    TORCH_CHECK_VALUE(value.scalar_type() == at::kFloat && value.device() == parameters_.front().value.device(), "adamw: parameter ",
                      parameter.name, " must be float32 on the device of the others, got ", value.scalar_type(), " on ", value.device());
    const size_t group = value.dim() >= 2 ? 1 : 0;
    places_.push_back({group, sizes[group]});
    sizes[group] += (value.numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  if (parameters_.empty()) return;
  const c10::NoGradGuard no_grad;
  const at::TensorOptions like = parameters_.front().value.options().requires_grad(false);
  for (size_t group = 0; group < groups_.size(); ++group)
    for (at::Tensor Group::*buffer : {&Group::values, &Group::gradients, &Group::first, &Group::second})
      groups_[group].*buffer = at::zeros({sizes[group]}, like);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor value = parameters_[i].value, moved = view(i, &Group::values);
    value.set_data(moved.copy_(value));
    value.mutable_grad() = view(i, &Group::gradients);
  }
}

at::Tensor AdamW::view(size_t i, at::Tensor Group::*buffer) const {
  const at::Tensor& value = parameters_[i].value;
  return (groups_[places_[i].group].*buffer).narrow(0, places_[i].offset, value.numel()).view(value.sizes());
}

void AdamW::check_views() const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& value = parameters_[i].value;
    const Group& group = groups_[places_[i].group];
    const int64_t offset = places_[i].offset * static_cast<int64_t>(sizeof(float));
    const auto at_place = [offset](const at::Tensor& tensor, const at::Tensor& buffer) {
      return tensor.defined() &&
             static_cast<const char*>(tensor.const_data_ptr()) == static_cast<const char*>(buffer.const_data_ptr()) + offset;
    };
    TORCH_CHECK(value.numel() == 0 || (at_place(value, group.values) && at_place(value.grad(), group.gradients)), "adamw: parameter ",
                parameters_[i].name, " or its gradient was replaced by another tensor");
  }
}

void AdamW::update(double lr, double gradient_divisor) {
  const c10::NoGradGuard no_grad;
  check_views();
  ++steps_;
  for (Group& group : groups_) {
    if (!group.values.defined() || group.values.numel() == 0) continue;
    if (!group.values.is_cpu()) {
      const at::Tensor steps = at::full({}, static_cast<double>(steps_), group.values.options());
      const at::Tensor divisor = at::full({}, gradient_divisor, group.values.options());
      at::_fused_adamw_({group.values}, {group.gradients}, {group.first}, {group.second}, {}, {steps}, lr, options_.beta1, options_.beta2,
                        group.weight_decay, kEpsilon, /*amsgrad=*/false, /*maximize=*/false, divisor);
      group.gradients.zero_();
      continue;
    }
    const auto t = static_cast<double>(steps_);
    const AdamWParams params{.value = group.values.mutable_data_ptr<float>(),
                             .gradient = group.gradients.mutable_data_ptr<float>(),
                             .first = group.first.mutable_data_ptr<float>(),
                             .second = group.second.mutable_data_ptr<float>(),
                             .size = group.values.numel(),
                             .gradient_scale = static_cast<float>(1 / gradient_divisor),
                             .keep = static_cast<float>(1 - lr * group.weight_decay),
                             .beta1 = static_cast<float>(options_.beta1),
                             .beta2 = static_cast<float>(options_.beta2),
                             .rate = static_cast<float>(lr / (1 - std::pow(options_.beta1, t))),
                             .root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t))),
                             .epsilon = static_cast<float>(kEpsilon)};
    at::parallel_for(0, blocks_of(group.values), 4, [&](int64_t begin, int64_t end) { adamw(params, begin, end); });
  }
}

void AdamW::zero_gradients() {
  for (Group& group : groups_)
    if (group.gradients.defined()) group.gradients.zero_();
}

double AdamW::gradient_norm() const {
  double total = 0;
  for (const Group& group : groups_)
    if (group.gradients.defined()) total += square_sum(group.gradients);
  return std::sqrt(total);
}

std::string AdamW::first_non_finite_gradient() const {
  for (const Parameter& parameter : parameters_)
    if (first_non_finite(parameter.value.grad()) >= 0) return parameter.name;
  return "";
}

Parameters AdamW::moments() const {
  Parameters out;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    out.push_back({parameters_[i].name + ".exp_avg", view(i, &Group::first)});
    out.push_back({parameters_[i].name + ".exp_avg_sq", view(i, &Group::second)});
  }
  return out;
}

}  // namespace aot
