// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/matmul.h"

#include "aot/kernels/cpu/linear.h"
#include "aot/ops/own_kernels.h"
#include "aot/ops/tasks.h"

namespace aot {
namespace {

bool takes(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16;
}

MatrixView view_of(const at::Tensor& matrix) {
  return {.data = matrix.const_data_ptr(), .row = matrix.stride(0), .column = matrix.stride(1)};
}

void check(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right, const MatmulOptions& options) {
  TORCH_INTERNAL_ASSERT(out.dim() == 2 && left.dim() == 2 && right.dim() == 2 && left.size(1) == right.size(0) &&
                            out.size(0) == left.size(0) && out.size(1) == right.size(1),
                        "multiply_into: (M, N) = (M, K) (K, N), got ", out.sizes(), " = ", left.sizes(), ' ', right.sizes());
  TORCH_INTERNAL_ASSERT(takes(left.scalar_type()) && left.scalar_type() == right.scalar_type() && takes(out.scalar_type()));
  TORCH_INTERNAL_ASSERT(out.is_cpu() && left.is_cpu() && right.is_cpu() && (out.stride(1) == 1 || out.size(1) == 1));
  TORCH_INTERNAL_ASSERT(!options.bias.defined() || (options.bias.scalar_type() == at::kFloat && options.bias.is_contiguous() &&
                                                    options.bias.dim() == 1 && options.bias.size(0) == out.size(1)));
}

}  // namespace

void multiply_into(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right, const MatmulOptions& options) {
  check(out, left, right, options);
  MatmulParams params{.rows = out.size(0), .cols = out.size(1), .depth = left.size(1)};
  if (out.numel() == 0) return;
  if (params.depth == 0) {
    if (!options.accumulate) out.zero_();
    if (options.bias.defined()) out.add_(options.bias);
    return;
  }
  params.left = view_of(left);
  params.right = view_of(right);
  params.out = out.mutable_data_ptr();
  params.out_row = out.stride(0);
  params.bfloat16 = left.scalar_type() == at::kBFloat16;
  params.out_bfloat16 = out.scalar_type() == at::kBFloat16;
  params.accumulate = options.accumulate;
  if (options.bias.defined()) params.bias = options.bias.const_data_ptr<float>();

  thread_local Scratch panels;
  float* packed = panels.of(matmul_packed(params));
  const int64_t scratch_floats = matmul_scratch(params);
  for (int64_t step = 0; step < matmul_steps(params); ++step) {
    run_tasks(matmul_pack_tasks(params, step), 0, [&](int64_t task, float*) { matmul_pack(params, step, task, task + 1, packed); });
    run_tasks(matmul_tasks(params, step), scratch_floats,
              [&](int64_t task, float* scratch) { matmul(params, step, task, task + 1, packed, scratch); });
  }
}

bool own_matmul(const at::Tensor& x, at::ScalarType type) {
  if (!own_kernels() || !x.is_cpu()) return false;
  const MatmulChoice choice = matmul_choice();
  return (type == at::kFloat && choice.float32) || (type == at::kBFloat16 && choice.bfloat16);
}

}  // namespace aot
