// SPDX-License-Identifier: Apache-2.0
// Making, disturbing and estimating bases of subspaces.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/theory/token_model.h"

namespace aot {

/// Numbers from N(0, 1), float64.
at::Tensor gaussian(at::IntArrayRef shape, uint64_t seed);

/// Orthonormal columns (D, n) with the span of `columns`, the signs fixed so that the triangular factor has a positive diagonal: uniformly
/// distributed when `columns` is Gaussian. REQUIRES: n <= D.
at::Tensor orthonormalized(const at::Tensor& columns);

/// Jointly orthonormal random bases of these dimensions in R^width.
Subspaces random_subspaces(const std::vector<int64_t>& dims, int64_t width, uint64_t seed);

/// Bases with U_j^T U_k = diag(cos angles) for every j != k, out of jointly orthonormal ones of equal dimension: column r of U_k mixes the
/// columns r of the first k + 1 by the Cholesky factor of the matrix with 1 on the diagonal and cos(angles[r]) elsewhere.
Subspaces with_angles(const Subspaces& orthonormal, const std::vector<double>& angles);

/// Each subspace turned by `angle` (radians): all principal angles between U_k and what becomes of it are `angle`. REQUIRES: 2 p_k <= D.
Subspaces rotated(const Subspaces& subspaces, double angle, uint64_t seed);

/// The first n right singular vectors of `rows` (m, D) as columns (D, n), uncentred; random directions beyond their rank.
at::Tensor principal_basis(const at::Tensor& rows, int64_t n, uint64_t seed);

/// Clusters of rows of z by K-subspaces: rows go to the subspace that holds most of their energy, subspaces to the principal directions of
/// their rows, until no row moves.   [Bradley and Mangasarian 2000; Tseng 2000. The start is ours: the nearest rows, by angle, of the row
/// that lies farthest from the subspaces found so far]
struct FoundClusters {
  std::vector<at::Tensor> bases;  // (D, n) each
  at::Tensor labels;              // (N,) int64
};
FoundClusters find_clusters(const at::Tensor& z, int64_t clusters, int64_t n, uint64_t seed);

/// The largest singular value of U_j^T U_k for any j != k: 0 for jointly orthonormal bases.
double incoherence(const Subspaces& subspaces);

/// Largest entry of |U_k^T U_k - I| over k.
double orthonormality_error(const Subspaces& subspaces);

}  // namespace aot
