// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/linear.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <ATen/autocast_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "aot/core/gradients.h"
#include "aot/kernels/cpu/linear.h"
#include "aot/ops/matmul.h"
#include "aot/ops/norm.h"
#include "aot/ops/own_kernels.h"

namespace aot {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// With fewer rows, packing W costs more than our product gains.
constexpr int64_t kLeastRows = 16;
constexpr int64_t kGrain = 16384;  // numbers of W per thread, 64 KiB: below it starting a thread costs more than it saves

std::vector<int64_t> with_last(at::IntArrayRef sizes, int64_t last) {
  std::vector<int64_t> out = sizes.vec();
  out.back() = last;
  return out;
}

/// The type that autocast, where it is on, gives to products with x.
std::optional<at::ScalarType> autocast_type(const at::Tensor& x) {
  const bool cast = x.is_cpu() && at::autocast::is_autocast_enabled(at::kCPU);
  return cast ? std::optional(at::autocast::get_autocast_dtype(at::kCPU)) : std::nullopt;
}

/// The type that the product takes place in.
at::ScalarType product_type(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? autocast_type(x).value_or(at::kFloat) : x.scalar_type();
}

/// multiply_into by whoever multiplies faster here.
void product_into(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right, const MatmulOptions& options = {}) {
  if (own_matmul(left, left.scalar_type())) return multiply_into(out, left, right, options);
  at::Tensor result = out;
  if (options.accumulate)
    result.addmm_(left, right);
  else if (options.bias.defined())
    at::addmm_out(result, options.bias, left, right);
  else
    at::mm_out(result, left, right);
}

/// x (M, K) W^T + b for x of the type of the product and a weight (N, K) of any type, perhaps the transposed view of a tied one.
struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            const std::optional<NormRecipe>& recipe) {
    const at::Tensor matrix = weight.to(x.scalar_type());
    if (recipe)
      context->save_for_backward({weight, matrix, recipe->z, recipe->statistics, recipe->weight, recipe->bias});
    else
      context->save_for_backward({weight, matrix, x});
    context->saved_data["centred"] = recipe && recipe->centred;
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["in_place"] = adds_gradient_in_place(weight);
    const at::Tensor out = at::empty({x.size(0), matrix.size(0)}, x.options().requires_grad(false));
    product_into(out, x, matrix.t(), {.bias = bias ? bias->to(at::kFloat).contiguous() : at::Tensor()});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &weight = saved[0], &matrix = saved[1], &d_out = gradients[0];
    std::optional<NormRecipe> recipe;
    if (saved.size() > 3) recipe = NormRecipe{saved[2], saved[3], saved[4], saved[5], context->saved_data["centred"].toBool()};
    at::Tensor dx, dw, d_bias;
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) d_bias = d_out.sum(0, /*keepdim=*/false, at::kFloat);
    if (c10::GradMode::is_enabled()) {  // to be differentiated again
      const at::Tensor x = recipe ? norm_with_graph(*recipe).reshape({d_out.size(0), -1}) : saved[2];
      dx = at::matmul(d_out, weight.to(d_out.scalar_type()));
      dw = at::matmul(d_out.t(), x).to(weight.scalar_type());
      return {dx, dw, d_bias, {}};
    }
    if (context->needs_input_grad(0)) {
      dx = at::empty({d_out.size(0), matrix.size(1)}, d_out.options().requires_grad(false));
      product_into(dx, d_out, matrix);
    }
    if (context->needs_input_grad(1)) {
      const at::Tensor x = recipe ? norm_again(*recipe).view({d_out.size(0), -1}) : saved[2];
      if (context->saved_data["in_place"].toBool()) {
        product_into(weight.grad(), d_out.t(), x, {.accumulate = true});
        return {dx, {}, d_bias, {}};
      }
      // Laid out as the weight is, so that nothing need be copied when the optimizer takes it.
      const bool turned = weight.stride(0) == 1 && weight.stride(1) != 1;
      dw = at::empty(turned ? weight.t().sizes() : weight.sizes(), weight.options().requires_grad(false));
      if (turned)
        product_into(dw, x.t(), d_out);
      else
        product_into(dw, d_out.t(), x);
      if (turned) dw = dw.t();
    }
    return {dx, dw, d_bias, {}};
  }
};

at::Tensor apply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type) {
  const auto given = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  const auto recipe = c10::GradMode::is_enabled() && type == x.scalar_type() ? norm_recipe(x) : std::nullopt;
  return Linear::apply(x.to(type).reshape({-1, x.size(-1)}), weight, given, recipe).view(with_last(x.sizes(), weight.size(0)));
}

/// One row of float32 times W, each number of W read once.
at::Tensor row_times(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor out = at::empty(with_last(x.sizes(), weight.size(0)), x.options());
  RowProductParams params{.cols = weight.size(0), .depth = weight.size(1)};
  params.x = x.const_data_ptr<float>();
  params.w = weight.const_data_ptr<float>();
  params.w_row = weight.stride(0);
  params.out = out.mutable_data_ptr<float>();
  if (bias.defined()) params.bias = bias.const_data_ptr<float>();
  at::parallel_for(0, params.cols, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, params.depth)),
                   [&](int64_t begin, int64_t end) { multiply_row(params, begin, end); });
  return out;
}

bool plain(const at::Tensor& t) {
  return !t.defined() || (t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous());
}

bool wants_graph(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return c10::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || (bias.defined() && bias.requires_grad()));
}

/// Whether this is a linear layer in a type of our kernels and with enough rows, and either they multiply or x need not be kept. What is
/// wrong is left to at::linear.
bool takes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type) {
  const int64_t width = weight.dim() == 2 ? weight.size(1) : -1;
  if (x.dim() < 1 || x.size(-1) != width || width == 0 || x.numel() < kLeastRows * width || weight.size(0) == 0) return false;
  if (bias.defined() && (bias.dim() != 1 || bias.size(0) != weight.size(0) || !bias.is_cpu())) return false;
  const bool mixed = weight.scalar_type() != x.scalar_type() && type == x.scalar_type() && autocast_type(x) != type;
  return !mixed && (type == at::kFloat || type == at::kBFloat16) && weight.is_cpu() &&
         (own_matmul(x, type) || (type == at::kFloat && c10::GradMode::is_enabled() && norm_recipe(x)));
}

}  // namespace

at::Tensor linear_layer(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::ScalarType type = product_type(x);
  if (takes(x, weight, bias, type)) return apply(x, weight, bias, type);
  const bool one_row = weight.dim() == 2 && x.dim() >= 1 && x.numel() == weight.size(1) && x.size(-1) == weight.size(1);
  if (own_kernels() && one_row && type == at::kFloat && plain(x) && plain(weight) && plain(bias) && !wants_graph(x, weight, bias))
    return row_times(x, weight, bias);
  return at::linear(x, weight, bias);
}

at::Tensor linear_layer_transposed(const at::Tensor& x, const at::Tensor& weight) {
  const at::ScalarType type = product_type(x);
  if (weight.dim() == 2 && takes(x, weight.t(), {}, type)) return apply(x, weight.t(), {}, type);
  return at::matmul(x, weight);
}

}  // namespace aot
