// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/bases.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>

#include "aot/core/random.h"

namespace aot {
namespace {

constexpr int kMostRounds = 100;

/// |x_i B|^2 of each row, (N,).
at::Tensor energy_in(const at::Tensor& rows, const at::Tensor& basis) {
  return at::matmul(rows, basis).square().sum(1);
}

}  // namespace

at::Tensor gaussian(at::IntArrayRef shape, uint64_t seed) {
  return at::empty(shape, at::kDouble).normal_(0, 1, make_generator(seed));
}

at::Tensor orthonormalized(const at::Tensor& columns) {
  const auto [q, r] = at::linalg_qr(columns);
  return q * at::where(r.diagonal() < 0, -1.0, 1.0);
}

Subspaces random_subspaces(const std::vector<int64_t>& dims, int64_t width, uint64_t seed) {
  const int64_t sum = std::accumulate(dims.begin(), dims.end(), int64_t{0});
  return {.columns = orthonormalized(gaussian({width, sum}, seed)), .dims = dims};
}

Subspaces with_angles(const Subspaces& orthonormal, const std::vector<double>& angles) {
  const int64_t heads = orthonormal.count(), dim = static_cast<int64_t>(angles.size());
  const at::Tensor q = orthonormal.columns.view({-1, heads, dim});  // (D, K, p)
  const at::Tensor columns = at::zeros_like(q);
  for (int64_t r = 0; r < dim; ++r) {
    const double cosine = std::cos(angles[static_cast<size_t>(r)]);
    const at::Tensor gram = at::full({heads, heads}, cosine, at::kDouble).fill_diagonal_(1);
    columns.select(2, r).copy_(at::matmul(q.select(2, r), at::linalg_cholesky(gram).t()));  // (D, K)
  }
  return {.columns = columns.flatten(1), .dims = orthonormal.dims};
}

Subspaces rotated(const Subspaces& subspaces, double angle, uint64_t seed) {
  std::vector<at::Tensor> turned;
  for (int64_t k = 0; k < subspaces.count(); ++k) {
    const at::Tensor u = subspaces.basis(k);
    at::Tensor away = gaussian(u.sizes(), derive_seed(seed, "rotation", static_cast<uint64_t>(k)));
    away = orthonormalized(away - at::matmul(u, at::matmul(u.t(), away)));
    turned.push_back(std::cos(angle) * u + std::sin(angle) * away);
  }
  return {.columns = at::cat(turned, 1), .dims = subspaces.dims};
}

at::Tensor principal_basis(const at::Tensor& rows, int64_t n, uint64_t seed) {
  const int64_t width = rows.size(1), held = std::min({n, rows.size(0), width});
  at::Tensor basis;
  if (rows.size(0) > width) {  // the smaller Gram matrix; eigenvalues ascend
    const auto [values, vectors] = at::linalg_eigh(at::matmul(rows.t(), rows));
    basis = vectors.narrow(1, width - held, held);
  } else {
    const auto [left, values, right] = at::linalg_svd(rows, /*full_matrices=*/false);
    basis = right.narrow(0, 0, held).t();
  }
  if (held == n) return basis;
  const at::Tensor more = gaussian({width, n - held}, derive_seed(seed, "completion"));
  return at::cat({basis, orthonormalized(more - at::matmul(basis, at::matmul(basis.t(), more)))}, 1);
}

FoundClusters find_clusters(const at::Tensor& z, int64_t clusters, int64_t n, uint64_t seed) {
  const at::Tensor rows = z / z.norm(2, {1}, true).clamp_min(1e-300);  // (N, D): by direction alone
  const int64_t near = std::max<int64_t>(1, z.size(0) / clusters);
  FoundClusters found;
  at::Tensor held = at::zeros({z.size(0)}, at::kDouble);  // energy in the nearest subspace so far
  for (int64_t k = 0; k < clusters; ++k) {
    const int64_t start = held.argmin().item<int64_t>();
    const at::Tensor nearest = std::get<1>(at::matmul(rows, rows[start]).abs().topk(near));
    found.bases.push_back(principal_basis(rows.index_select(0, nearest), n, seed));
    held = at::maximum(held, energy_in(rows, found.bases.back()));
  }
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<at::Tensor> energies;
    for (const at::Tensor& basis : found.bases) energies.push_back(energy_in(rows, basis));
    const at::Tensor labels = at::stack(energies).argmax(0);
    if (found.labels.defined() && found.labels.equal(labels)) break;
    found.labels = labels;
    for (int64_t k = 0; k < clusters; ++k)
      found.bases[static_cast<size_t>(k)] = principal_basis(rows.index_select(0, (labels == k).nonzero().flatten()), n, seed);
  }
  return found;
}

double incoherence(const Subspaces& subspaces) {
  double largest = 0;
  for (int64_t k = 0; k < subspaces.count(); ++k)
    for (int64_t j = 0; j < k; ++j) {
      const at::Tensor overlap = at::matmul(subspaces.basis(j).t(), subspaces.basis(k));
      largest = std::max(largest, at::linalg_svdvals(overlap).max().item<double>());
    }
  return largest;
}

double orthonormality_error(const Subspaces& subspaces) {
  double largest = 0;
  for (int64_t k = 0; k < subspaces.count(); ++k) {
    const at::Tensor u = subspaces.basis(k);
    largest = std::max(largest, (at::matmul(u.t(), u) - at::eye(u.size(1), at::kDouble)).abs().max().item<double>());
  }
  return largest;
}

}  // namespace aot
