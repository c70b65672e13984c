// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/measures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>
#include <ATen/TensorOperators.h>

namespace aot {
namespace {

constexpr int64_t kRows = 4096;  // tokens whose residual is formed at once

at::Tensor unit_rows(const at::Tensor& rows) {
  return rows / rows.norm(2, {1}, true).clamp_min(1e-300);
}

}  // namespace

double ClusterMeasures::snr() const {
  return noise_free() ? std::numeric_limits<double>::infinity() : signal / noise;
}

TokenMeasures measure_tokens(const at::Tensor& z, const TokenSample& sample) {
  TokenMeasures out{{}, at::empty({z.size(0)}, z.options()), at::empty({z.size(0)}, z.options())};
  for (int64_t k = 0; k < sample.truth.count(); ++k) {
    const at::Tensor u = sample.truth.basis(k);
    const int64_t first = sample.first_row(k), size = sample.cluster_sizes[static_cast<size_t>(k)];
    for (int64_t done = 0; done < size; done += kRows) {
      const int64_t count = std::min(kRows, size - done);
      const at::Tensor rows = z.narrow(0, first + done, count), inside = at::matmul(rows, u);
      out.signal.narrow(0, first + done, count).copy_(inside.norm(2, {1}));
      out.noise.narrow(0, first + done, count).copy_((rows - at::matmul(inside, u.t())).norm(2, {1}));
    }
    ClusterMeasures cluster;
    cluster.signal = out.signal.narrow(0, first, size).norm().item<double>();
    cluster.noise = out.noise.narrow(0, first, size).norm().item<double>();
    cluster.size = std::hypot(cluster.signal, cluster.noise);
    out.clusters.push_back(cluster);
  }
  return out;
}

double snr_ratio(const ClusterMeasures& before, const ClusterMeasures& after) {
  const double signal = after.signal / before.signal;
  if (before.noise_free()) return after.noise_free() ? signal : 0;
  return signal / (after.noise / before.noise);
}

double ratio_tolerance(const ClusterMeasures& after) {
  constexpr double kRounding = 64 * std::numeric_limits<double>::epsilon();
  return std::max(1e-9, after.noise_free() ? 0 : kRounding * after.snr());
}

at::Tensor gram_spectrum(const at::Tensor& rows) {
  const at::Tensor gram = rows.size(0) < rows.size(1) ? at::matmul(rows, rows.t()) : at::matmul(rows.t(), rows);
  return at::linalg_eigvalsh(gram).clamp_min(0);
}

double effective_rank(const at::Tensor& spectrum) {
  const at::Tensor values = spectrum.sqrt();
  const double sum = values.sum().item<double>();
  if (!(sum > 0)) return 0;
  const at::Tensor shares = values / sum;
  return std::exp(-(shares * shares.clamp_min(1e-300).log()).sum().item<double>());
}

double coding_rate(const at::Tensor& spectrum, int64_t rows, int64_t width, double eps_squared) {
  return 0.5 * (spectrum * (static_cast<double>(width) / (static_cast<double>(rows) * eps_squared))).log1p().sum().item<double>();
}

Spectra measure_spectra(const at::Tensor& z, const TokenSample& sample, double eps_squared) {
  Spectra out;
  const int64_t tokens = z.size(0), width = z.size(1);
  const at::Tensor whole = gram_spectrum(z);
  out.effective_rank = effective_rank(whole);
  out.coding_rate = coding_rate(whole, tokens, width, eps_squared);
  out.coding_rate_normalized = coding_rate(gram_spectrum(unit_rows(z)), tokens, width, eps_squared);
  for (int64_t k = 0; k < sample.truth.count(); ++k) {
    const at::Tensor inside = at::matmul(z, sample.truth.basis(k));  // (N, p_k)
    const int64_t dim = inside.size(1);
    out.effective_ranks.push_back(
        effective_rank(gram_spectrum(inside.narrow(0, sample.first_row(k), sample.cluster_sizes[static_cast<size_t>(k)]))));
    out.coding_rate_subspaces += coding_rate(gram_spectrum(inside), tokens, dim, eps_squared);
    out.coding_rate_subspaces_normalized += coding_rate(gram_spectrum(unit_rows(inside)), tokens, dim, eps_squared);
  }
  return out;
}

}  // namespace aot
