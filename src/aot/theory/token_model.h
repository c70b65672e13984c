// SPDX-License-Identifier: Apache-2.0
// The paper's tokens: a mixture of low-dimensional Gaussians with noise in each other's subspaces, and controlled departures from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"

namespace aot {

/// Bases U_1 .. U_K side by side, (D, p_1 + .. + p_K). Dimensions may differ.
struct Subspaces {
  at::Tensor columns;
  std::vector<int64_t> dims;  // p_k

  [[nodiscard]] int64_t count() const { return static_cast<int64_t>(dims.size()); }
  [[nodiscard]] int64_t width() const { return columns.size(0); }
  /// U_k (D, p_k): a view.
  [[nodiscard]] at::Tensor basis(int64_t k) const;
  /// First column of U_k.
  [[nodiscard]] int64_t offset(int64_t k) const;
};

/// What the operator knows of the subspaces.
enum class BasisSource {
  exact,     // the U_k that the tokens were made with
  rotated,   // each turned by `basis_angle` out of itself, in a random direction
  labels,    // the first principal directions of the tokens of each cluster
  clusters,  // the same for clusters found among the tokens without labels (K-subspaces)
};

struct TokenModelOptions {
  int64_t tokens = 256;   // N
  int64_t heads = 4;      // K
  int64_t head_dim = 48;  // p
  int64_t width = 0;      // D; 0: the sum of the subspaces' dimensions
  double delta = 0.05;    // standard deviation of the noise

  // Departures from Definition 1, all off by default.
  std::string cluster_sizes = "equal";  // or "random", or N_1,N_2,...
  std::string head_dims;                // p_1,p_2,...; empty: all `head_dim`
  std::string angles;                   // principal angles between every two subspaces in degrees, repeated up to p; empty: all 90
  double between = 0;                   // share of each cluster's tokens that lie as much in another subspace as in their own
  double tails = 0;                     // noise from Student's t with so many degrees of freedom, variance still delta^2; 0: normal
  double ambient = 0;                   // standard deviation of noise outside all subspaces
  BasisSource bases = BasisSource::exact;
  double basis_angle = 0;  // degrees, for `rotated`
};

void describe(Fields& fields, TokenModelOptions& options);

/// `options` with sizes worked out. Throws UsageError on what no tokens can be made of, e.g. K p > D.
struct TokenModelShape {
  std::vector<int64_t> cluster_sizes;  // N_k; empty when they are drawn with the sample
  std::vector<int64_t> dims;           // p_k
  std::vector<double> angles;          // radians; one for each of the p dimensions, or empty when all are right angles
  int64_t width = 0;                   // D
};

TokenModelShape shape_of(const TokenModelOptions& options);

/// A sample, float64. Tokens of a cluster are consecutive rows.
struct TokenSample {
  at::Tensor z;                        // (N, D)
  std::vector<int64_t> cluster_sizes;  // N_k
  Subspaces truth;                     // that the tokens were made with: signal and noise are measured by these
  Subspaces known;                     // that the operator gets
  double label_agreement = 1;          // share of tokens put with their own cluster; below 1 only for BasisSource::clusters

  [[nodiscard]] int64_t first_row(int64_t k) const;
  [[nodiscard]] at::Tensor cluster(int64_t k) const;  // rows of C_k: a view
};

/// Definition 1: a token of C_k is a U_k^T + sum_{j != k} e_j U_j^T as a row, a ~ N(0, I), e_j ~ N(0, delta^2 I), independent.
///   [Wang et al. 2025, Def. 1; the orthonormal U by the Q factor of a Gaussian matrix, and the departures, are ours]
/// The same seed gives the same bases and the same signals whatever the noise.
TokenSample sample_tokens(const TokenModelOptions& options, uint64_t seed);

/// Mean squares of one token of cluster k under the model (exact, over all randomness but the bases and the sizes).
struct TokenMoments {
  double signal = 0;  // E |z U_k|^2
  double noise = 0;   // E |z (I - U_k U_k^T)|^2
  /// sqrt(signal / noise): 1 / (delta sqrt(K - 1)) in the paper's case; infinite without noise.
  [[nodiscard]] double snr() const;
};

std::vector<TokenMoments> expected_moments(const TokenModelOptions& options);

}  // namespace aot
