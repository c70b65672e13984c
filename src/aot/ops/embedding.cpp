// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/embedding.h"

#include <ATen/ops/embedding.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "aot/core/gradients.h"

namespace aot {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kColumns = 32;  // of a thread's share, at least: two cache lines of a row

/// total[ids[i]] += rows[i], each thread its columns of every row, so that each sum has the order of ids.
void add_rows(const at::Tensor& total, const at::Tensor& ids, const at::Tensor& rows) {
  const int64_t count = ids.numel(), width = total.size(1);
  const auto* id = ids.const_data_ptr<int64_t>();
  const auto* from = rows.const_data_ptr<float>();
  auto* to = total.mutable_data_ptr<float>();
  at::parallel_for(0, width, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < count; ++i) {
      float* sum = to + id[i] * width;
      const float* row = from + i * width;
      for (int64_t column = begin; column < end; ++column) sum[column] += row[column];
    }
  });
}

struct EmbeddingInPlace : torch::autograd::Function<EmbeddingInPlace> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& table, const at::Tensor& ids) {
    context->save_for_backward({table, ids});
    return at::embedding(table, ids);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "embedding_rows: a gradient in place has no derivative");
    const auto saved = context->get_saved_variables();
    add_rows(saved[0].grad(), saved[1].contiguous(), gradients[0].contiguous());
    return {{}, {}};
  }
};

}  // namespace

at::Tensor embedding_rows(const at::Tensor& table, const at::Tensor& ids) {
  TORCH_CHECK_VALUE(table.dim() == 2 && ids.scalar_type() == at::kLong, "embedding_rows: table must be (V, D) and ids int64, got ",
                    table.sizes(), " and ", ids.scalar_type());
  const bool in_place = table.is_cpu() && table.scalar_type() == at::kFloat && c10::GradMode::is_enabled() && adds_gradient_in_place(table);
  return in_place ? EmbeddingInPlace::apply(table, ids) : at::embedding(table, ids);
}

}  // namespace aot
