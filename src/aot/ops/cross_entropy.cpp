// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/cross_entropy.h"

#include <algorithm>

#include <ATen/autocast_mode.h>
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

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

bool is_half(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
}

at::ScalarType wide_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// x as the head's products take it: the residual stream stays float32 under autocast, and products are what autocast is for.
at::Tensor as_autocast_wants(const at::Tensor& x) {
  const at::DeviceType device = x.device().type();
  if (x.scalar_type() != at::kFloat || !at::autocast::is_autocast_enabled(device)) return x;
  return x.to(at::autocast::get_autocast_dtype(device));
}

/// One chunk of rows. `log_p` and `raw` stand in buffers that the next chunk overwrites.
struct Chunk {
  int64_t first;
  at::Tensor x, target, ignored;  // (n, D); (n, 1) with 0 for ignored; (n, 1)
  at::Tensor log_p;               // (n, V) log-probabilities
  at::Tensor raw;                 // (n, V) scratch in the dtype of x; log_p itself unless that is a half type
};

/// Calls body(chunk) for every chunk. `head` has the dtype of x.
template <class Body>
void for_each_chunk(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, const Body& body) {
  const int64_t rows = x.size(0), vocab_size = head.size(0), chunk = chunk_rows(rows, vocab_size);
  const at::Tensor transposed = head.t();
  const at::Tensor product = at::empty({chunk, vocab_size}, x.options());
  const at::Tensor logits = is_half(x) ? at::empty({chunk, vocab_size}, x.options().dtype(at::kFloat)) : product;
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t n = std::min(chunk, rows - first);
    const at::Tensor target = targets.narrow(0, first, n).unsqueeze(1);
    Chunk c{.first = first,
            .x = x.narrow(0, first, n),
            .target = target.clamp_min(0),
            .ignored = target.eq(kIgnoredTarget),
            .log_p = logits.narrow(0, 0, n),
            .raw = product.narrow(0, 0, n)};
    at::mm_out(c.raw, c.x, transposed);
    if (is_half(x)) c.log_p.copy_(c.raw);
    at::_log_softmax_out(c.log_p, c.log_p, -1, false);  // row by row: its maximum and sum are read before the row is written
    body(c);
  }
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& head,
                            const at::Tensor& targets) {
    const at::ScalarType wide = wide_type(x);
    const int64_t counted = targets.ne(kIgnoredTarget).sum().item<int64_t>();
    const double share = counted > 0 ? 1 / static_cast<double>(counted) : 0;
    const at::Tensor matrix = head.to(x.scalar_type());
    const at::Tensor dx = at::empty_like(x), d_head = at::zeros(head.sizes(), head.options().dtype(wide));
    at::Tensor part = is_half(x) ? at::empty_like(matrix) : at::Tensor();  // of d_head, from one chunk
    at::Tensor total = at::zeros({}, x.options().dtype(at::kDouble));
    for_each_chunk(x, matrix, targets, [&](Chunk& c) {
      total -= c.log_p.gather(1, c.target).masked_fill(c.ignored, 0).sum(at::kDouble);
      // counted * d loss / d logits = softmax - one-hot, in place of the log-probabilities
      at::Tensor g = c.log_p.exp_();
      g.scatter_add_(1, c.target, at::full({}, -1, g.options()).expand_as(c.target));
      if (counted != targets.size(0)) g.masked_fill_(c.ignored, 0);
      if (is_half(x)) g = c.raw.copy_(g);
      at::Tensor dx_chunk = dx.narrow(0, c.first, g.size(0));
      at::mm_out(dx_chunk, g, matrix);
      dx_chunk.mul_(share);
      if (part.defined())
        d_head.add_(at::mm_out(part, g.t(), c.x), share);
      else
        d_head.addmm_(g.t(), c.x, 1, share);
    });
    context->save_for_backward({dx, d_head.to(head.scalar_type())});
    return (total / static_cast<double>(counted)).to(wide);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const double factor = gradients[0].item<double>();
    if (factor == 1) return {saved[0], saved[1], at::Tensor()};
    // Gradients of the size of the head are scaled where they stand, unless the graph is kept for another backward.
    if (torch::autograd::get_current_graph_task_keep_graph()) return {saved[0] * factor, saved[1] * factor, at::Tensor()};
    return {saved[0].mul_(factor), saved[1].mul_(factor), at::Tensor()};
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
  return LinearCrossEntropy::apply(as_autocast_wants(x), head, targets);
}

at::Tensor linear_cross_entropy_per_token(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  check(x, head, targets);
  const c10::NoGradGuard no_grad;
  const at::Tensor rows = as_autocast_wants(x), losses = at::empty(targets.sizes(), x.options().dtype(wide_type(x)));
  for_each_chunk(rows, head.to(rows.scalar_type()), targets, [&losses](const Chunk& c) {
    losses.narrow(0, c.first, c.log_p.size(0)).copy_(c.log_p.gather(1, c.target).neg_().masked_fill_(c.ignored, 0).squeeze(1));
  });
  return losses;
}

at::Tensor linear_cross_entropy_reference(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets) {
  return at::cross_entropy_loss(at::linear(x, head), targets, {}, at::Reduction::Mean, kIgnoredTarget);
}

}  // namespace aot
