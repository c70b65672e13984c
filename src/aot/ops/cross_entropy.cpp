// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include <ATen/autocast_mode.h>
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include "aot/core/gradients.h"
#include "aot/kernels/cpu/cross_entropy.h"
#include "aot/ops/matmul.h"
#include "aot/ops/own_kernels.h"
#include "aot/ops/tasks.h"

namespace aot {
namespace {

// Rows of one chunk: 32 MiB of logits, and never below 512 rows, since the gradient of the head is read and written once per chunk.
constexpr int64_t kChunkBytes = 32 << 20;
constexpr int64_t kLeastRows = 512;
constexpr int64_t kRowsOfTask = 4;

int64_t chunk_rows(int64_t rows, int64_t vocab_size) {
  return std::max<int64_t>(1, std::min(rows, std::max(kLeastRows, kChunkBytes / (4 * vocab_size))));
}

void check(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, const CrossEntropyOptions& options) {
  TORCH_CHECK_VALUE(x.dim() == 2 && head.dim() == 2 && x.size(1) == head.size(1),
                    "linear_cross_entropy: x must be (N, D) and head (V, D), got ", x.sizes(), " and ", head.sizes());
  TORCH_CHECK_VALUE(targets.dim() == 1 && targets.size(0) == x.size(0) && targets.scalar_type() == at::kLong,
                    "linear_cross_entropy: targets must be (N,) int64 with N = ", x.size(0), ", got ", targets.sizes(), " ",
                    targets.scalar_type());
  if (targets.numel() > 0) {
    const auto [least, most] = targets.aminmax();
    TORCH_CHECK_VALUE(least.item<int64_t>() >= kIgnoredTarget && most.item<int64_t>() < head.size(0),
                      "linear_cross_entropy: targets must be below V = ", head.size(0), " or -1, got ", least.item<int64_t>(), " to ",
                      most.item<int64_t>());
  }
  TORCH_CHECK_VALUE(options.label_smoothing >= 0 && options.label_smoothing <= 1 && options.z_loss >= 0,
                    "linear_cross_entropy: label_smoothing must be 0 to 1 and z_loss not negative, got ", options.label_smoothing, " and ",
                    options.z_loss);
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

/// The products of the head, on our kernels or LibTorch's. Half types go through `part` there, since its products keep their type.
struct Products {
  bool own;

  /// out (m, n) = a (m, k) b (k, n), out wide or of the type of a.
  void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) const {
    if (own) return multiply_into(out, a, b);
    at::Tensor to = out;
    if (out.scalar_type() == a.scalar_type())
      at::mm_out(to, a, b);
    else
      to.copy_(at::mm(a, b));
  }
  /// out, wide, += a b
  void add(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) const {
    if (own) return multiply_into(out, a, b, {.accumulate = true});
    if (out.scalar_type() == a.scalar_type())
      out.addmm_(a, b);
    else
      out.add_(at::mm(a, b));
  }
};

/// Losses (n,) of a chunk of logits (n, V), wide; and, when `gradient` is defined, weight times d loss / d logits into it. The logits are
/// overwritten; `gradient` may be the same tensor.
void losses_of_logits(at::Tensor logits, const at::Tensor& targets, const CrossEntropyOptions& options, double weight,
                      const at::Tensor& losses, at::Tensor gradient) {
  if (logits.is_cpu() && logits.scalar_type() == at::kFloat && (!gradient.defined() || gradient.scalar_type() != at::kHalf)) {
    CrossEntropyParams params{.rows = logits.size(0), .vocab = logits.size(1)};
    params.logits = logits.mutable_data_ptr<float>();
    params.targets = targets.const_data_ptr<int64_t>();
    params.losses = losses.mutable_data_ptr<float>();
    params.label_smoothing = static_cast<float>(options.label_smoothing);
    params.z_loss = static_cast<float>(options.z_loss);
    params.weight = static_cast<float>(weight);
    if (gradient.defined()) params.gradient = gradient.mutable_data_ptr();
    params.bfloat16 = gradient.defined() && gradient.scalar_type() == at::kBFloat16;
    const int64_t tasks = (params.rows + kRowsOfTask - 1) / kRowsOfTask;
    run_tasks(tasks, 0, [&](int64_t task, float*) {
      cross_entropy_rows(params, task * kRowsOfTask, std::min(params.rows, (task + 1) * kRowsOfTask));
    });
    return;
  }
  const at::Tensor target = targets.clamp_min(0).unsqueeze(1), ignored = targets.eq(kIgnoredTarget);  // (n, 1), (n,)
  const at::Tensor of_target = logits.gather(1, target);
  at::_log_softmax_out(logits, logits, -1, false);  // row by row: its maximum and sum are read before the row is written
  const at::Tensor log_p = logits.gather(1, target), lse = of_target - log_p;
  const double s = options.label_smoothing, c = options.z_loss;
  at::Tensor loss = log_p * (s - 1);
  if (s != 0) loss.sub_(logits.mean(1, /*keepdim=*/true), s);
  if (c != 0) loss.add_(lse.square(), c);
  losses.copy_(loss.squeeze(1).masked_fill_(ignored, 0));
  if (!gradient.defined()) return;
  at::Tensor g = logits.exp_();
  if (c != 0) g.mul_(lse * (2 * c) + 1);
  if (s != 0) g.sub_(s / static_cast<double>(g.size(1)));
  g.scatter_add_(1, target, at::full({}, s - 1, g.options()).expand_as(target));
  g.mul_(weight).masked_fill_(ignored.unsqueeze(1), 0);
  if (!gradient.is_same(g)) gradient.copy_(g);
}

/// An uninitialised tensor (rows, cols) in memory that this thread keeps for the next loss. From a heap it would come and go between the
/// small tensors of a step, find its old place taken, and take another one of the same size.
at::Tensor kept_buffer(Scratch& memory, int64_t rows, int64_t cols, const at::TensorOptions& options) {
  if (!options.device().is_cpu()) return at::empty({rows, cols}, options);
  const int64_t bytes = rows * cols * static_cast<int64_t>(options.dtype().itemsize()), unit = sizeof(float);
  return at::from_blob(memory.of((bytes + unit - 1) / unit), {rows, cols}, options);
}

/// What goes over all chunks: losses of all rows, and gradients where these are wanted.
struct Pass {
  at::Tensor x, head, targets;  // (N, D), (V, D) of the dtype of x, (N,)
  CrossEntropyOptions options;
  double weight = 0;
  at::Tensor losses;      // (N,) wide
  at::Tensor dx, d_head;  // (N, D) of the dtype of x; (V, D) wide, added to; or undefined

  void run() const {
    const int64_t rows = x.size(0), vocab_size = head.size(0), chunk = chunk_rows(rows, vocab_size);
    const Products products{.own = own_matmul(x, x.scalar_type())};
    thread_local Scratch wide_memory, half_memory;
    const at::TensorOptions wide = x.options().dtype(wide_type(x)).requires_grad(false);
    const at::Tensor transposed = head.t(), buffer = kept_buffer(wide_memory, chunk, vocab_size, wide);
    const bool half = dx.defined() && is_half(x);
    const at::Tensor half_gradient = half ? kept_buffer(half_memory, chunk, vocab_size, x.options().requires_grad(false)) : at::Tensor();
    const at::Tensor wide_dx = half ? at::empty({chunk, x.size(1)}, wide) : at::Tensor();
    for (int64_t first = 0; first < rows; first += chunk) {
      const int64_t n = std::min(chunk, rows - first);
      const at::Tensor part = x.narrow(0, first, n), logits = buffer.narrow(0, 0, n);
      products.multiply(logits, part, transposed);
      const at::Tensor gradient = !dx.defined() ? at::Tensor() : half ? half_gradient.narrow(0, 0, n) : logits;
      losses_of_logits(logits, targets.narrow(0, first, n), options, weight, losses.narrow(0, first, n), gradient);
      if (!dx.defined()) continue;
      const at::Tensor dx_part = dx.narrow(0, first, n);
      if (half) {
        products.multiply(wide_dx.narrow(0, 0, n), gradient, head);
        dx_part.copy_(wide_dx.narrow(0, 0, n));
      } else {
        products.multiply(dx_part, gradient, head);
      }
      products.add(d_head, gradient.t(), part);
    }
  }
};

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& head,
                            const at::Tensor& targets, const CrossEntropyOptions& options) {
    const at::ScalarType wide = wide_type(x);
    const int64_t counted = targets.ne(kIgnoredTarget).sum().item<int64_t>();
    const bool in_place = adds_gradient_in_place(head) && head.scalar_type() == wide;
    const double loss_gradient = in_place ? loss_gradient_in_place() : 1;
    Pass pass{.x = x, .head = head.to(x.scalar_type()), .targets = targets, .options = options};
    pass.weight = counted > 0 ? loss_gradient / static_cast<double>(counted) : 0;
    pass.losses = at::empty(targets.sizes(), x.options().dtype(wide));
    pass.dx = at::empty(x.sizes(), x.options());
    pass.d_head = in_place ? head.grad() : at::zeros(head.sizes(), head.options().dtype(wide));
    pass.run();
    context->saved_data["made_with"] = loss_gradient;
    if (in_place)
      context->save_for_backward({pass.dx});
    else
      context->save_for_backward({pass.dx, pass.d_head.to(head.scalar_type())});
    return (pass.losses.sum(at::kDouble) / static_cast<double>(counted)).to(wide);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto given = gradients[0].item<double>(), made_with = context->saved_data["made_with"].toDouble();
    if (saved.size() == 1) {
      TORCH_CHECK_VALUE(std::abs(given - made_with) <= 1e-6 * std::abs(made_with),
                        "linear_cross_entropy: the head's gradient was added for ", made_with, " (GradientsInPlace), backward was given ",
                        given);
      return {saved[0], at::Tensor(), at::Tensor(), at::Tensor()};
    }
    if (given == 1) return {saved[0], saved[1], at::Tensor(), at::Tensor()};
    // Gradients of the size of the head are scaled where they stand, unless the graph is kept for another backward.
    if (torch::autograd::get_current_graph_task_keep_graph()) return {saved[0] * given, saved[1] * given, at::Tensor(), at::Tensor()};
    return {saved[0].mul_(given), saved[1].mul_(given), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

int64_t cross_entropy_buffer_bytes(int64_t rows, int64_t vocab_size) {
  return 4 * chunk_rows(rows, vocab_size) * vocab_size;
}

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets,
                                const CrossEntropyOptions& options) {
  check(x, head, targets, options);
  if (!own_kernels()) return linear_cross_entropy_reference(x, head, targets, options);
  if (!c10::GradMode::is_enabled() || !(x.requires_grad() || head.requires_grad())) {
    const at::Tensor losses = linear_cross_entropy_per_token(x, head, targets, options);
    return (losses.sum(at::kDouble) / targets.ne(kIgnoredTarget).sum()).to(losses.scalar_type());
  }
  return LinearCrossEntropy::apply(as_autocast_wants(x), head, targets.contiguous(), options);
}

at::Tensor linear_cross_entropy_per_token(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets,
                                          const CrossEntropyOptions& options) {
  check(x, head, targets, options);
  const c10::NoGradGuard no_grad;
  Pass pass{.x = as_autocast_wants(x), .targets = targets.contiguous(), .options = options};
  pass.head = head.to(pass.x.scalar_type());
  pass.losses = at::empty(targets.sizes(), x.options().dtype(wide_type(x)).requires_grad(false));
  pass.run();
  return pass.losses;
}

at::Tensor linear_cross_entropy_reference(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets,
                                          const CrossEntropyOptions& options) {
  const at::Tensor logits = at::linear(x, head);
  const at::Tensor loss = at::cross_entropy_loss(logits, targets, {}, at::Reduction::Mean, kIgnoredTarget, options.label_smoothing);
  if (options.z_loss == 0) return loss;
  const at::Tensor counted = targets.ne(kIgnoredTarget);
  return loss + (logits.logsumexp(1).square() * counted).sum() * options.z_loss / counted.sum();
}

}  // namespace aot
