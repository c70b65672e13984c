// SPDX-License-Identifier: Apache-2.0
// The definition of MSSA in the paper's own form, and its derivative by hand. Slow and plain: the other paths are tested against these.
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

/// phi, from the scores of one query to its weights.   [Wang et al. 2025, section 3; relu_mean and identity are ours]
enum class Weighting {
  softmax,
  softmax_threshold,  // tau where softmax exceeds tau, else 0: the theorem's. Its derivative is 0, so nothing can be learnt through it
  relu,               // max(score, 0)
  relu_mean,          // the same divided by the number of keys that the query may read
  identity,           // the score itself
};

struct MssaReferenceOptions {
  bool causal = true;
  double scale = 1;  // c; the paper has 1
  Weighting phi = Weighting::softmax;
  double tau = 0.5;  // for softmax_threshold
};

/// sum_k U_k U_k^T Z phi(c Z^T U_k U_k^T Z) with tokens as columns, phi on each column (a column is one query).   [Wang et al. 2025, Eq.
/// (3)]
///   z (B, T, D) tokens as rows: transposed to columns inside, and back;  u (K, D, P);  returns (B, T, D). Differentiable.
at::Tensor mssa_reference(const at::Tensor& z, const at::Tensor& u, const MssaReferenceOptions& options);

struct MssaGradients {
  at::Tensor z;      // (B, T, D)
  at::Tensor u;      // (K, D, P)
  at::Tensor w_out;  // (K, P, D) when untied
};

/// Derivative of sum_k O_k R_k, O_k = phi(c A_k A_k^T) A_k, A_k = z U_k, with R_k = U_k^T (`w_out` undefined) or w_out[k].
/// With g = dL/dY of the update:
///   dO = g R^T;  dR = O^T g (tied: dU += g^T O);  dW = dO A^T;  dS = W * (dW - rowsum(dO * O)) (softmax), 0 (threshold),
///   dW where S > 0 (relu; relu_mean divided by the count), dW (identity);
///   dA = W^T dO + c (dS + dS^T) A;  dU += z^T dA;  dz = sum_k dA U_k^T.
MssaGradients mssa_backward_reference(const at::Tensor& g, const at::Tensor& z, const at::Tensor& u, const at::Tensor& w_out,
                                      const MssaReferenceOptions& options);

}  // namespace aot
