// SPDX-License-Identifier: Apache-2.0
#include "aot/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "aot/core/tensor_file.h"
#include "aot/kernels/cpu/optimizer.h"

namespace aot {
namespace {

constexpr int64_t kAlignment = 16;  // numbers: every parameter starts on a cache line, those between two are 0 and stay so

double square_sum(const at::Tensor& buffer) {
  if (!buffer.is_cpu()) {
    const double norm = at::linalg_vector_norm(buffer, 2, at::OptionalIntArrayRef(), false, at::kDouble).item<double>();
    return norm * norm;
  }
  const int64_t blocks = (buffer.numel() + kOptimizerBlock - 1) / kOptimizerBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
  at::parallel_for(0, blocks, 8, [&](int64_t begin, int64_t end) {
    square_sums(buffer.const_data_ptr<float>(), buffer.numel(), sums.data(), begin, end);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

/// N of "layers.N.*", or -1.
int64_t layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  return name.rfind(kPrefix, 0) == 0 ? std::stoll(name.substr(kPrefix.size())) : -1;
}

}  // namespace

void describe(Fields& fields, OptimizerOptions& options) {
  fields.add("optimizer", options.rule, {{"adamw", UpdateRule::adamw}, {"lion", UpdateRule::lion}},
             "rule of the update; lion wants 3 to 10 times less lr and more weight-decay than adamw");
  fields.add("weight-decay", options.weight_decay, "decoupled decay of tensors of rank 2 and more").min(0);
  fields.add("beta1", options.beta1, "adamw's memory of the gradient; lion: the old direction's share of the step").min(0).max(0.999999);
  fields.add("beta2", options.beta2, "adamw's memory of its square; lion's memory of the gradient").min(0).max(0.999999);
  fields.add("layer-decay", options.layer_decay, "times the learning rate, from each layer to the one below; 1: no decay").above(0).max(1);
  fields
      .add("ema", options.ema,
           "decay per step of an average of the weights, which evaluations and saved models take instead of the weights; 0: none")
      .min(0)
      .max(0.999999);
}

int64_t state_per_parameter(const OptimizerOptions& options) {
  return (options.rule == UpdateRule::adamw ? 2 : 1) + (options.ema > 0 ? 1 : 0);
}

std::vector<double> layer_scales(const Parameters& parameters, double layer_decay) {
  int64_t layers = 0;
  for (const Parameter& parameter : parameters) layers = std::max(layers, layer_of(parameter.name) + 1);
  std::vector<double> out;
  bool before = layers > 0;
  for (const Parameter& parameter : parameters) {
    const int64_t layer = layer_of(parameter.name);
    before = before && layer < 0;
    const int64_t below_head = before ? layers + 1 : layer < 0 ? 0 : layers - layer;
    out.push_back(std::pow(layer_decay, static_cast<double>(below_head)));
  }
  return out;
}

Optimizer::Optimizer(const Parameters& parameters, const OptimizerOptions& options) : parameters_(parameters), options_(options) {
  const std::vector<double> scales = layer_scales(parameters_, options_.layer_decay);
  std::map<std::pair<double, bool>, size_t> known;  // the group of a scale, without and with decay
  for (size_t i = 0; i < parameters_.size(); ++i) known.emplace(std::pair(scales[i], parameters_[i].value.dim() >= 2), 0);
  for (auto& [kind, group] : known) {
    group = groups_.size();
    groups_.push_back({.weight_decay = kind.second ? options_.weight_decay : 0, .lr_scale = kind.first, .buffers = {}});
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& value = parameters_[i].value;
    TORCH_CHECK_VALUE(value.scalar_type() == at::kFloat && value.device() == parameters_.front().value.device(), "optimizer: parameter ",
                      parameters_[i].name, " must be float32 on the device of the others, got ", value.scalar_type(), " on ",
                      value.device());
    Group& group = groups_[places_.emplace_back(Place{known.at({scales[i], value.dim() >= 2}), 0}).group];
    places_.back().offset = group.size;
    group.size += (value.numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  if (parameters_.empty()) return;
  const c10::NoGradGuard no_grad;
  const at::TensorOptions like = parameters_.front().value.options().requires_grad(false);
  for (Group& group : groups_) {
    UpdateBuffers& b = group.buffers;
    for (at::Tensor* buffer : {&b.values, &b.gradients, &b.first}) *buffer = at::zeros({group.size}, like);
    if (options_.rule == UpdateRule::adamw) b.second = at::zeros({group.size}, like);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor value = parameters_[i].value, moved = view(i, &UpdateBuffers::values);
    value.set_data(moved.copy_(value));
    value.mutable_grad() = view(i, &UpdateBuffers::gradients);
  }
  if (options_.ema > 0)
    for (Group& group : groups_) group.buffers.average = group.buffers.values.clone();
}

at::Tensor Optimizer::view(size_t i, at::Tensor UpdateBuffers::*buffer) const {
  const at::Tensor& value = parameters_[i].value;
  return (groups_[places_[i].group].buffers.*buffer).narrow(0, places_[i].offset, value.numel()).view(value.sizes());
}

void Optimizer::check_views() const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& value = parameters_[i].value;
    const UpdateBuffers& buffers = groups_[places_[i].group].buffers;
    const int64_t offset = places_[i].offset * static_cast<int64_t>(sizeof(float));
    const auto at_place = [offset](const at::Tensor& tensor, const at::Tensor& buffer) {
      return tensor.defined() &&
             static_cast<const char*>(tensor.const_data_ptr()) == static_cast<const char*>(buffer.const_data_ptr()) + offset;
    };
    TORCH_CHECK(value.numel() == 0 || (at_place(value, buffers.values) && at_place(value.grad(), buffers.gradients)),
                "optimizer: parameter ", parameters_[i].name, " or its gradient was replaced by another tensor");
  }
}

void Optimizer::update(double lr, double gradient_divisor) {
  TORCH_CHECK(!averaged_, "optimizer: no update while the averages stand in for the weights");
  check_views();
  ++steps_;
  const auto t = static_cast<double>(steps_);
  for (const Group& group : groups_)
    aot::update(group.buffers, {.rule = options_.rule,
                                .lr = lr * group.lr_scale,
                                .weight_decay = group.weight_decay,
                                .beta1 = options_.beta1,
                                .beta2 = options_.beta2,
                                .gradient_divisor = gradient_divisor,
                                .average_decay = std::min(options_.ema, (1 + t) / (10 + t)),
                                .t = steps_});
}

void Optimizer::zero_gradients() {
  for (const Group& group : groups_) group.buffers.gradients.zero_();
}

double Optimizer::gradient_norm() const {
  double total = 0;
  for (const Group& group : groups_) total += square_sum(group.buffers.gradients);
  return std::sqrt(total);
}

std::string Optimizer::first_non_finite_gradient() const {
  for (const Parameter& parameter : parameters_)
    if (first_non_finite(parameter.value.grad()) >= 0) return parameter.name;
  return "";
}

Parameters Optimizer::state() const {
  Parameters out;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    out.push_back({parameters_[i].name + ".exp_avg", view(i, &UpdateBuffers::first)});
    if (options_.rule == UpdateRule::adamw) out.push_back({parameters_[i].name + ".exp_avg_sq", view(i, &UpdateBuffers::second)});
    if (options_.ema > 0) out.push_back({parameters_[i].name + ".raw", view(i, &UpdateBuffers::values)});
  }
  return out;
}

AveragedWeights::AveragedWeights(Optimizer& optimizer)
    : optimizer_(optimizer), active_(optimizer.options_.ema > 0 && !optimizer.averaged_) {
  if (!active_) return;
  optimizer_.check_views();
  put(&UpdateBuffers::average);
  optimizer_.averaged_ = true;
}

AveragedWeights::~AveragedWeights() {
  if (!active_) return;
  put(&UpdateBuffers::values);
  optimizer_.averaged_ = false;
}

void AveragedWeights::put(at::Tensor UpdateBuffers::*buffer) const {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < optimizer_.parameters_.size(); ++i) optimizer_.parameters_[i].value.set_data(optimizer_.view(i, buffer));
}

}  // namespace aot
