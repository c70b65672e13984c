// SPDX-License-Identifier: Apache-2.0
// The output head and its cross-entropy in chunks of rows: a tensor of all logits never exists.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace aot {

constexpr int64_t kIgnoredTarget = -1;

struct CrossEntropyOptions {
  double label_smoothing = 0;  // s in 0 .. 1: the target distribution is (1 - s) one-hot + s uniform
  double z_loss = 0;           // c >= 0: adds c lse^2, which keeps the logits from drifting (Chowdhery et al. 2022, section 5)
};

/// Mean over the targets that are not ignored of (1 - s) (lse - x . h_target) + s (lse - mean_v x . h_v) + c lse^2, where
/// lse = log sum_v exp(x . h_v); in nats; NaN, with gradients of 0, when all are ignored.
///   x (N, D);  head (V, D);  targets (N,) int64, -1 = ignored, else below V.   Differentiable in x and head, once.
///   Both gradients are made in the forward pass, chunk by chunk; the backward scales them in place unless the graph is retained.
///   In a GradientsInPlace the head's gradient is added to its grad() at once.
///   Products are in the dtype of x, under autocast in autocast's; logits, softmax, sums and the head's gradient are float32 (float64 for
///   float64). On the CPU they run on our own kernels where these are faster, loss and gradient of a row in one go.
///   Cost: 3 products of N x V x D with gradients, 1 without. Memory: `cross_entropy_buffer_bytes` beside the gradients, which the
///   calling thread keeps for the next loss on the CPU; half types add half of that, and the head in that type.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets,
                                const CrossEntropyOptions& options = {});

/// The same per target (N,), 0 where ignored; no gradient.
at::Tensor linear_cross_entropy_per_token(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets,
                                          const CrossEntropyOptions& options = {});

/// The plain form: all logits at once.
at::Tensor linear_cross_entropy_reference(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets,
                                          const CrossEntropyOptions& options = {});

/// Bytes of the one buffer of logits that is reused for every chunk, float32.
int64_t cross_entropy_buffer_bytes(int64_t rows, int64_t vocab_size);

}  // namespace aot
