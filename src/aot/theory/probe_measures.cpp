// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/probe_measures.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>

#include "aot/core/random.h"
#include "aot/theory/bases.h"

namespace aot {
namespace {

/// |z_i Q_k|^2 (N, K) from the coordinates z Q (N, K, P).
at::Tensor energies(const at::Tensor& inside) {
  return inside.square().sum(2);
}

at::Tensor coordinates(const at::Tensor& z, const Subspaces& subspaces) {
  return at::matmul(z, subspaces.columns).view({z.size(0), subspaces.count(), -1});
}

std::vector<ClusterMeasures> measures_of(const at::Tensor& signal_squares, const at::Tensor& noise_squares) {
  std::vector<ClusterMeasures> out;
  for (int64_t k = 0; k < signal_squares.size(0); ++k) {
    const double signal = signal_squares[k].item<double>(), noise = noise_squares[k].item<double>();
    out.push_back({.signal = std::sqrt(signal), .noise = std::sqrt(noise), .size = std::sqrt(signal + noise)});
  }
  return out;
}

std::vector<double> numbers(const at::Tensor& values) {
  const at::Tensor held = values.contiguous();
  return {held.data_ptr<double>(), held.data_ptr<double>() + held.numel()};
}

}  // namespace

Subspaces orthonormal_heads(const at::Tensor& u, int64_t heads) {
  const at::Tensor bases = u.to(at::kCPU, at::kDouble).view({heads, -1, u.size(1)});  // (K, P, D)
  std::vector<at::Tensor> columns;
  for (int64_t k = 0; k < heads; ++k) columns.push_back(orthonormalized(bases[k].t()));
  return {.columns = at::cat(columns, 1), .dims = std::vector<int64_t>(static_cast<size_t>(heads), bases.size(1))};
}

Subspaces random_heads(int64_t heads, int64_t dim, int64_t width, uint64_t seed) {
  return orthonormal_heads(gaussian({heads * dim, width}, seed), heads);
}

HeadSnr::HeadSnr(Subspaces orthonormal) : subspaces_(std::move(orthonormal)), sums_(at::zeros({5, subspaces_.count()}, at::kDouble)) {}

at::Tensor HeadSnr::add(const at::Tensor& before, const at::Tensor& after) {
  const int64_t heads = subspaces_.count();
  const auto [signal, own] = energies(coordinates(before, subspaces_)).max(1);  // (N,)
  const at::Tensor signal_after = energies(coordinates(after, subspaces_)).gather(1, own.unsqueeze(1)).squeeze(1);
  const auto rest = [](const at::Tensor& rows, const at::Tensor& inside) { return (rows.square().sum(1) - inside).clamp_min(0); };
  sums_[0] += at::bincount(own, {}, heads);
  sums_[1] += at::bincount(own, signal, heads);
  sums_[2] += at::bincount(own, rest(before, signal), heads);
  sums_[3] += at::bincount(own, signal_after, heads);
  sums_[4] += at::bincount(own, rest(after, signal_after), heads);
  return own;
}

std::vector<int64_t> HeadSnr::tokens() const {
  std::vector<int64_t> out;
  for (const double count : numbers(sums_[0])) out.push_back(std::llround(count));
  return out;
}

std::vector<ClusterMeasures> HeadSnr::before() const {
  return measures_of(sums_[1], sums_[2]);
}

std::vector<ClusterMeasures> HeadSnr::after() const {
  return measures_of(sums_[3], sums_[4]);
}

ClusterMeasures pooled(const std::vector<ClusterMeasures>& clusters) {
  ClusterMeasures out;
  for (const ClusterMeasures& cluster : clusters) {
    out.signal = std::hypot(out.signal, cluster.signal);
    out.noise = std::hypot(out.noise, cluster.noise);
  }
  out.size = std::hypot(out.signal, out.noise);
  return out;
}

double chance_snr(int64_t dim, int64_t width) {
  return std::sqrt(static_cast<double>(dim) / static_cast<double>(width - dim));
}

at::Tensor coding_rate_gradient(const at::Tensor& z, const Subspaces& subspaces, double eps_squared) {
  at::Tensor gradient = at::zeros_like(z);
  for (int64_t k = 0; k < subspaces.count(); ++k) {
    const at::Tensor q = subspaces.basis(k), a = at::matmul(z, q);  // (D, p), (N, p)
    const double b = static_cast<double>(q.size(1)) / (static_cast<double>(z.size(0)) * eps_squared);
    const at::Tensor inner = at::eye(q.size(1), z.options()) + b * at::matmul(a.t(), a);
    gradient += b * at::matmul(a, at::linalg_solve(inner, q.t()));
  }
  return gradient;
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  const double sizes = a.norm().item<double>() * b.norm().item<double>();
  return sizes > 0 ? (a * b).sum().item<double>() / sizes : 0;
}

at::Tensor unit_rows(const at::Tensor& rows) {
  return rows / rows.norm(2, {1}, true).clamp_min(1e-300);
}

at::Tensor across(const at::Tensor& rows, const at::Tensor& directions) {
  const at::Tensor unit = unit_rows(directions);
  return rows - unit * (rows * unit).sum(1, true);
}

AttentionSums::AttentionSums(int64_t heads) : own_(at::zeros({heads}, at::kDouble)), entropy_(at::zeros({heads}, at::kDouble)) {}

void AttentionSums::add(const at::Tensor& weights) {
  own_ += weights.diagonal(0, 2, 3).sum({0, 2}, false, at::kDouble);
  const at::Tensor terms = at::where(weights > 0, weights * weights.clamp_min(1e-38).log(), 0.0);  // masked keys weigh nothing
  entropy_ -= terms.sum({0, 2, 3}, false, at::kDouble);
  queries_ += weights.size(0) * weights.size(2);
}

std::vector<double> AttentionSums::own_mass() const {
  return numbers(own_ / static_cast<double>(std::max<int64_t>(1, queries_)));
}

std::vector<double> AttentionSums::entropy() const {
  return numbers(entropy_ / static_cast<double>(std::max<int64_t>(1, queries_)));
}

HeadOverlap head_overlap(const Subspaces& orthonormal) {
  HeadOverlap out;
  std::vector<double> angles;
  double pairs = 0;
  for (int64_t k = 0; k < orthonormal.count(); ++k)
    for (int64_t j = 0; j < k; ++j) {
      const std::vector<double> cosines = numbers(at::linalg_svdvals(at::matmul(orthonormal.basis(j).t(), orthonormal.basis(k))));
      const double first = std::min(1.0, *std::max_element(cosines.begin(), cosines.end()));
      out.largest = std::max(out.largest, first);
      out.mean += first;
      ++pairs;
      for (const double value : cosines) angles.push_back(std::acos(std::min(1.0, value)) * 180 / std::numbers::pi);
    }
  if (pairs == 0) return {0, 0, 90};
  out.mean /= pairs;
  const auto middle = angles.begin() + static_cast<std::ptrdiff_t>(angles.size() / 2);
  std::nth_element(angles.begin(), middle, angles.end());
  out.median_angle = *middle;
  return out;
}

}  // namespace aot
