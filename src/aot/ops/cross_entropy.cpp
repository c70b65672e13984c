// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/cross_entropy.h"

#include <algorithm>
#include <limits>

#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace aot {
namespace {

// Rows of one chunk: 32 MiB of logits, and never below 512 rows, since the gradient of the head is read and written once per chunk.
constexpr int64_t kChunkBytes = 32 << 20;
constexpr int64_t kLeastRows = 512;

int64_t chunk_rows(int64_t rows, int64_t vocab_size) {
  return std::max<int64_t>(1, std::min(rows, std::max(kLeastRows, kChunkBytes / (4 * vocab_size))));
}

void check(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  TORCH_CHECK_VALUE(x.dim() == 2 && head.dim() == 2 && x.size(1) == head.size(1),
                    "linear_cross_entropy: x must be (N, D) and head (V, D), got ", x.sizes(), " and ", head.sizes());
  TORCH_CHECK_VALUE(targets.dim() == 1 && targets.size(0) == x.size(0) && targets.scalar_type() == at::kLong,
                    "linear_cross_entropy: targets must be (N,) int64 with N = ", x.size(0), ", got ", targets.sizes(), " ",
                    targets.scalar_type());
}

/// Calls body(first, x of the chunk, targets with 0 for ignored (n, 1), ignored (n, 1), log-probabilities (n, V)) for every chunk.
/// The log-probabilities stand in a buffer that the next chunk overwrites.
template <class Body>
void for_each_chunk(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, const Body& body) {
  const int64_t rows = x.size(0), vocab_size = head.size(0), chunk = chunk_rows(rows, vocab_size);
  const bool half = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
  const at::Tensor transposed = head.t();
  at::Tensor product = at::empty({chunk, vocab_size}, x.options());
  at::Tensor logits = half ? at::empty({chunk, vocab_size}, x.options().dtype(at::kFloat)) : product;
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t n = std::min(chunk, rows - first);
    const at::Tensor x_chunk = x.narrow(0, first, n), target = targets.narrow(0, first, n).unsqueeze(1);
    at::Tensor out = logits.narrow(0, 0, n), raw = product.narrow(0, 0, n);
    at::mm_out(raw, x_chunk, transposed);
    if (half) out.copy_(raw);
    at::_log_softmax_out(out, out, -1, false);  // row by row: its maximum and sum are read before the row is written
    body(first, x_chunk, target.clamp_min(0), target.eq(kIgnoredTarget), out);
  }
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& head,
                            const at::Tensor& targets) {
    const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const int64_t counted = targets.ne(kIgnoredTarget).sum().item<int64_t>();
    at::Tensor dx = at::empty_like(x), d_head = at::zeros(head.sizes(), head.options().dtype(wide));
    at::Tensor total = at::zeros({}, x.options().dtype(at::kDouble));
    for_each_chunk(x, head, targets,
                   [&](int64_t first, const at::Tensor& x_chunk, const at::Tensor& target, const at::Tensor& ignored, at::Tensor& log_p) {
                     total -= log_p.gather(1, target).masked_fill(ignored, 0).sum(at::kDouble);
                     // d loss / d logits = (softmax - one-hot) / counted, in place of the log-probabilities
                     at::Tensor g = log_p.exp_();
                     g.scatter_add_(1, target, at::empty_like(target, g.options()).fill_(-1));
                     if (counted != targets.size(0)) g.masked_fill_(ignored, 0);
                     const at::Tensor narrow = g.to(x.scalar_type());
                     at::Tensor dx_chunk = dx.narrow(0, first, g.size(0));
                     at::mm_out(dx_chunk, narrow, head);
                     if (wide == x.scalar_type())
                       d_head.addmm_(narrow.t(), x_chunk);
                     else
                       d_head.add_(at::mm(narrow.t(), x_chunk));
                   });
    context->save_for_backward({dx, d_head});
    context->saved_data["counted"] = counted;
    return (total / static_cast<double>(counted)).to(wide);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor factor = gradients[0] / static_cast<double>(context->saved_data["counted"].toInt());
    return {saved[0] * factor.to(saved[0].scalar_type()), saved[1] * factor, at::Tensor()};
  }
};

}  // namespace

int64_t cross_entropy_buffer_bytes(int64_t rows, int64_t vocab_size) {
  return 4 * chunk_rows(rows, vocab_size) * vocab_size;
}

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  check(x, head, targets);
  if (!c10::GradMode::is_enabled() || !(x.requires_grad() || head.requires_grad())) {
    const at::Tensor losses = linear_cross_entropy_per_token(x, head, targets);
    return (losses.sum(at::kDouble) / targets.ne(kIgnoredTarget).sum()).to(losses.scalar_type());
  }
  // Under autocast x comes in a half type and the head in float32: autograd casts the head's gradient back.
  return LinearCrossEntropy::apply(x, head.to(x.scalar_type()), targets);
}

at::Tensor linear_cross_entropy_per_token(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  check(x, head, targets);
  const c10::NoGradGuard no_grad;
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor losses = at::empty(targets.sizes(), x.options().dtype(wide));
  for_each_chunk(x, head.to(x.scalar_type()), targets,
                 [&](int64_t first, const at::Tensor&, const at::Tensor& target, const at::Tensor& ignored, at::Tensor& log_p) {
                   losses.narrow(0, first, log_p.size(0)).copy_(log_p.gather(1, target).neg_().masked_fill_(ignored, 0).squeeze(1));
                 });
  return losses;
}

at::Tensor linear_cross_entropy_reference(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  return at::cross_entropy_loss(at::linear(x, head), targets, {}, at::Reduction::Mean, kIgnoredTarget);
}

}  // namespace aot
