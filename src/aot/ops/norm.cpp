// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/norm.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "aot/kernels/cpu/norm.h"
#include "aot/ops/own_kernels.h"

namespace aot {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrain = 8192;  // numbers per thread: below it starting a thread costs more than it saves

at::Tensor reference(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias, bool centred) {
  if (centred) return at::layer_norm(z, weight.sizes(), weight, bias, kNormEpsilon, /*cudnn_enable=*/false);
  return at::rms_norm(z, weight.sizes(), weight, kNormEpsilon);
}

bool kernel_serves(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias) {
  const auto fits = [&](const at::Tensor& t) {
    return t.is_cpu() && t.dim() == 1 && t.size(0) == z.size(-1) && (t.scalar_type() == at::kFloat || t.scalar_type() == z.scalar_type());
  };
  return own_kernels() && z.is_cpu() && (z.scalar_type() == at::kFloat || z.scalar_type() == at::kBFloat16) && z.dim() >= 1 &&
         z.numel() > 0 && fits(weight) && (!bias.defined() || fits(bias));
}

/// Weight and bias as the kernels take them; keeps the memory that the parameters point into.
struct Operands {
  at::Tensor weight, bias;
  NormParams params;

  Operands(const at::Tensor& z, const at::Tensor& given_weight, const at::Tensor& given_bias, bool centred)
      : weight(given_weight.detach().to(at::kFloat).contiguous()) {
    params.width = z.size(-1);
    params.rows = z.numel() / params.width;
    params.centred = centred;
    params.bfloat16 = z.scalar_type() == at::kBFloat16;
    params.epsilon = static_cast<float>(kNormEpsilon);
    params.weight = weight.const_data_ptr<float>();
    params.z = z.const_data_ptr();
    if (!given_bias.defined()) return;
    bias = given_bias.detach().to(at::kFloat).contiguous();
    params.bias = bias.const_data_ptr<float>();
  }
};

template <class Rows>
void for_rows(const NormParams& params, const Rows& rows) {
  at::parallel_for(0, params.rows, std::max<int64_t>(1, kGrain / params.width),
                   [&](int64_t begin, int64_t end) { rows(params, begin, end); });
}

/// z contiguous. `statistics` (rows, 2) or undefined.
at::Tensor run_forward(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias, bool centred, const at::Tensor& statistics) {
  Operands operands(z, weight, bias, centred);
  const at::Tensor x = at::empty_like(z, z.options().requires_grad(false));
  operands.params.x = x.mutable_data_ptr();
  if (statistics.defined()) operands.params.statistics = statistics.mutable_data_ptr<float>();
  for_rows(operands.params, norm_forward);
  return x;
}

/// (z, weight, bias) -> (x, z).
struct NormFunction : torch::autograd::Function<NormFunction> {
  static variable_list forward(AutogradContext* context, const at::Tensor& given, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias, bool centred) {
    const at::Tensor z = given.contiguous(), no_bias;
    const at::Tensor statistics = at::empty({z.numel() / z.size(-1), 2}, z.options().dtype(at::kFloat).requires_grad(false));
    const at::Tensor x = run_forward(z, weight, bias.value_or(no_bias), centred, statistics);
    context->save_for_backward({given, statistics, weight, bias.value_or(no_bias)});
    context->saved_data["centred"] = centred;
    context->set_materialize_grads(false);
    return {x, given};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &given = saved[0], &statistics = saved[1], &weight = saved[2], &bias = saved[3], &d_skip = gradients[1];
    const bool centred = context->saved_data["centred"].toBool();
    if (!gradients[0].defined()) return {d_skip, {}, {}, {}};
    if (c10::GradMode::is_enabled()) return through_reference(given, weight, bias, centred, gradients);

    const at::Tensor z = given.contiguous(), d_x = gradients[0].contiguous(), other = d_skip.defined() ? d_skip.contiguous() : d_skip;
    Operands operands(z, weight, bias, centred);
    NormParams& params = operands.params;
    const int64_t parts = norm_parts(params.rows);
    const auto numbers = statistics.options();
    const at::Tensor dz = at::empty_like(z, z.options().requires_grad(false));
    const at::Tensor partial = at::empty({parts, 2, params.width}, numbers);
    params.statistics = statistics.mutable_data_ptr<float>();
    params.d_x = d_x.const_data_ptr();
    if (other.defined()) params.d_skip = other.const_data_ptr();
    params.dz = dz.mutable_data_ptr();
    params.partial = partial.mutable_data_ptr<float>();
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) { norm_backward(params, begin, end); });
    const at::Tensor d_weight = at::empty({params.width}, numbers);
    const at::Tensor d_bias = bias.defined() ? at::empty({params.width}, numbers) : at::Tensor();
    norm_backward_sum(params, d_weight.mutable_data_ptr<float>(), bias.defined() ? d_bias.mutable_data_ptr<float>() : nullptr);
    return {dz, d_weight.to(weight.scalar_type()), bias.defined() ? d_bias.to(bias.scalar_type()) : d_bias, {}};
  }

  static variable_list through_reference(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias, bool centred,
                                         const variable_list& gradients) {
    variable_list inputs{z, weight};
    if (bias.defined()) inputs.push_back(bias);
    variable_list out = torch::autograd::grad({reference(z, weight, bias, centred)}, inputs, {gradients[0]}, /*retain_graph=*/true,
                                              /*create_graph=*/true, /*allow_unused=*/true);
    if (gradients[1].defined()) out[0] = out[0].defined() ? out[0] + gradients[1] : gradients[1];
    out.resize(4);
    return out;
  }
};

NormedTokens norm_and_skip(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias, bool centred) {
  if (!kernel_serves(z, weight, bias)) return {reference(z, weight, bias, centred), z};
  const bool graph =
      c10::GradMode::is_enabled() && (z.requires_grad() || weight.requires_grad() || (bias.defined() && bias.requires_grad()));
  if (!graph) return {run_forward(z.contiguous(), weight, bias, centred, {}), z};
  variable_list out = NormFunction::apply(z, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt, centred);
  return {std::move(out[0]), std::move(out[1])};
}

}  // namespace

at::Tensor layer_norm(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias) {
  return layer_norm_and_skip(z, weight, bias).x;
}

at::Tensor rms_norm(const at::Tensor& z, const at::Tensor& weight) {
  return rms_norm_and_skip(z, weight).x;
}

NormedTokens layer_norm_and_skip(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias) {
  return norm_and_skip(z, weight, bias, /*centred=*/true);
}

NormedTokens rms_norm_and_skip(const at::Tensor& z, const at::Tensor& weight) {
  return norm_and_skip(z, weight, {}, /*centred=*/false);
}

std::optional<NormRecipe> norm_recipe(const at::Tensor& x) {
  const auto* node = dynamic_cast<torch::autograd::CppNode<NormFunction>*>(x.grad_fn().get());
  if (node == nullptr || x.output_nr() != 0) return std::nullopt;
  const variable_list saved = node->ctx_.get_saved_variables();
  return NormRecipe{saved[0], saved[1], saved[2], saved[3], node->ctx_.saved_data.at("centred").toBool()};
}

at::Tensor norm_with_graph(const NormRecipe& recipe) {
  return reference(recipe.z, recipe.weight, recipe.bias, recipe.centred);
}

at::Tensor norm_again(const NormRecipe& recipe) {
  const at::Tensor z = recipe.z.contiguous();
  Operands operands(z, recipe.weight, recipe.bias, recipe.centred);
  const at::Tensor x = at::empty_like(z, z.options().requires_grad(false));
  operands.params.x = x.mutable_data_ptr();
  operands.params.statistics = recipe.statistics.mutable_data_ptr<float>();
  for_rows(operands.params, [](const NormParams& params, int64_t begin, int64_t end) { norm_again(params, begin, end); });
  return x;
}

}  // namespace aot
