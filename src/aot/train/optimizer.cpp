// SPDX-License-Identifier: Apache-2.0
#include "aot/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "aot/core/tensor_file.h"

namespace aot {
namespace {

constexpr double kEpsilon = 1e-8;
constexpr int64_t kBlock = 8192;  // numbers summed at a time: a task large enough to be worth a thread, small enough to balance

struct Span {
  const float* data;
  int64_t size;
};

double square_sum(const Span& span) {
  // Eight sums let the compiler use vector registers without reordering anything.
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= span.size; i += 8)
    for (int64_t j = 0; j < 8; ++j) sums[j] += static_cast<double>(span.data[i + j]) * static_cast<double>(span.data[i + j]);
  for (; i < span.size; ++i) sums[0] += static_cast<double>(span.data[i]) * static_cast<double>(span.data[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

void describe(Fields& fields, AdamWOptions& options) {
  fields.add("weight-decay", options.weight_decay, "decoupled decay of tensors of rank 2 and more").min(0);
  fields.add("beta1", options.beta1, "AdamW's memory of the gradient").min(0).max(0.999999);
  fields.add("beta2", options.beta2, "AdamW's memory of its square").min(0).max(0.999999);
}

AdamW::AdamW(const Parameters& parameters, const AdamWOptions& options) : parameters_(parameters), options_(options), groups_(2) {
  groups_[1].weight_decay = options.weight_decay;
  for (const Parameter& parameter : parameters_) {
    first_.push_back(at::zeros_like(parameter.value));
    second_.push_back(at::zeros_like(parameter.value));
    Group& group = groups_[parameter.value.dim() >= 2 ? 1 : 0];
    group.values.push_back(parameter.value);
    group.first.push_back(first_.back());
    group.second.push_back(second_.back());
  }
}

void AdamW::update(double lr, double gradient_divisor) {
  const c10::NoGradGuard no_grad;
  ++steps_;
  for (Group& group : groups_) {
    if (group.values.empty()) continue;
    std::vector<at::Tensor> gradients;
    gradients.reserve(group.values.size());
    for (const at::Tensor& value : group.values) {
      TORCH_CHECK(value.grad().defined(), "adamw: a parameter of shape ", value.sizes(), " has no gradient");
      gradients.push_back(value.grad());
    }
    const auto on_device = group.values.front().options().dtype(at::kFloat).requires_grad(false);
    const std::vector<at::Tensor> steps(group.values.size(), at::full({}, static_cast<double>(steps_), on_device));
    const std::optional<at::Tensor> divisor =
        gradient_divisor == 1 ? std::nullopt : std::optional<at::Tensor>(at::full({}, gradient_divisor, on_device));
    at::_fused_adamw_(group.values, gradients, group.first, group.second, {}, steps, lr, options_.beta1, options_.beta2, group.weight_decay,
                      kEpsilon, /*amsgrad=*/false, /*maximize=*/false, divisor);
  }
}

void AdamW::drop_gradients() {
  for (const Parameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

Parameters AdamW::moments() const {
  Parameters out;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    out.push_back({parameters_[i].name + ".exp_avg", first_[i]});
    out.push_back({parameters_[i].name + ".exp_avg_sq", second_[i]});
  }
  return out;
}

double gradient_norm(const Parameters& parameters) {
  std::vector<Span> blocks;
  std::vector<at::Tensor> alive;  // keeps the memory that `blocks` points into
  double elsewhere = 0;           // sum of squares on other devices or in other formats
  for (const Parameter& parameter : parameters) {
    const at::Tensor& gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    if (!gradient.is_cpu() || gradient.scalar_type() != at::kFloat) {
      const double norm = at::linalg_vector_norm(gradient, 2, at::OptionalIntArrayRef(), false, at::kDouble).item<double>();
      elsewhere += norm * norm;
      continue;
    }
    alive.push_back(gradient.contiguous());
    const float* data = alive.back().const_data_ptr<float>();
    for (int64_t begin = 0; begin < gradient.numel(); begin += kBlock)
      blocks.push_back({data + begin, std::min(kBlock, gradient.numel() - begin)});
  }
  std::vector<double> sums(blocks.size());
  at::parallel_for(0, static_cast<int64_t>(blocks.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(i)] = square_sum(blocks[static_cast<size_t>(i)]);
  });
  double total = elsewhere;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

std::string first_non_finite_gradient(const Parameters& parameters) {
  for (const Parameter& parameter : parameters)
    if (parameter.value.grad().defined() && first_non_finite(parameter.value.grad()) >= 0) return parameter.name;
  return "";
}

}  // namespace aot
