// SPDX-License-Identifier: Apache-2.0
// What is measured of a model's tokens against the subspaces of its heads: sums over tokens that come in pieces, so that memory does not
// grow with the text. Tokens have no labels here: a token belongs to the head whose subspace holds most of its energy.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/theory/measures.h"

namespace aot {

/// Orthonormal bases of the spans of the U_k.   u (K P, D), rows k P .. (k + 1) P - 1 are U_k^T, as in ops/mssa.h; P <= D.
/// Each head by itself: bases of different heads may overlap, which `incoherence` measures.
Subspaces orthonormal_heads(const at::Tensor& u, int64_t heads);

/// K random bases of dimension P, each uniformly distributed and independent of the others: the same shape without what was learnt.
Subspaces random_heads(int64_t heads, int64_t dim, int64_t width, uint64_t seed);

/// SNR of tokens by head before and after a layer, in the same subspaces and with the heads that tokens belong to before it:
/// argmax_k |z_i Q_k|.
/// Noise is what a token's energy leaves beside its signal: below 1e-8 of the token it is rounding, far below what models leave. That is
/// half the work of forming it, and the baselines measure many bases.
class HeadSnr {
 public:
  /// All heads of one dimension.
  explicit HeadSnr(Subspaces orthonormal);

  /// Rows (N, D) of both, float64; row i of both is the same token. Returns their heads.
  at::Tensor add(const at::Tensor& before, const at::Tensor& after);

  [[nodiscard]] const Subspaces& subspaces() const { return subspaces_; }
  [[nodiscard]] std::vector<int64_t> tokens() const;  // of each head
  [[nodiscard]] std::vector<ClusterMeasures> before() const;
  [[nodiscard]] std::vector<ClusterMeasures> after() const;

 private:
  Subspaces subspaces_;
  at::Tensor sums_;  // (5, K): tokens; squares of signal and noise before; the same after
};

/// Signal and noise of all clusters together.
ClusterMeasures pooled(const std::vector<ClusterMeasures>& clusters);

/// SNR of tokens without any direction of their own in a subspace of dimension p of R^D that was not chosen by them: sqrt(p / (D - p)).
/// Belonging to the best of K such subspaces raises it; the random baseline of the probe measures by how much.
double chance_snr(int64_t dim, int64_t width);

/// Gradient of R^c = sum_k 1/2 log det(I + b A_k^T A_k), A_k = Z Q_k, b = p / (N eps^2), with respect to Z (N, D):
///   sum_k b A_k (I + b A_k^T A_k)^-1 Q_k^T.   [Yu et al. 2023; MSSA replaces it by softmax(A_k A_k^T) A_k after dropping a shrinkage]
at::Tensor coding_rate_gradient(const at::Tensor& z, const Subspaces& subspaces, double eps_squared);

/// Cosine between two sets of rows as one vector each; 0 when one is zero.
double cosine(const at::Tensor& a, const at::Tensor& b);

/// Each row at length 1; a row of zeros stays one.
at::Tensor unit_rows(const at::Tensor& rows);

/// Each row of `rows` without its part along the same row of `directions`: how it turns tokens, apart from growing or shrinking them.
at::Tensor across(const at::Tensor& rows, const at::Tensor& directions);

/// How much tokens keep to themselves: sums over queries of weights (B, K, T, T).
class AttentionSums {
 public:
  explicit AttentionSums(int64_t heads);
  void add(const at::Tensor& weights);
  [[nodiscard]] std::vector<double> own_mass() const;  // mean weight of a token for itself, by head
  [[nodiscard]] std::vector<double> entropy() const;   // mean entropy of a token's weights, nats, by head

 private:
  at::Tensor own_, entropy_;  // (K,)
  int64_t queries_ = 0;
};

/// Overlap of heads: for every two of them the largest cosine between their directions and all principal angles.
struct HeadOverlap {
  double largest = 0, mean = 0;  // spectral norm of Q_j^T Q_k over pairs: 0 for orthogonal heads, 1 for a shared direction
  double median_angle = 0;       // of all principal angles of all pairs, degrees
};

HeadOverlap head_overlap(const Subspaces& orthonormal);

}  // namespace aot
