// SPDX-License-Identifier: Apache-2.0
// What is measured of tokens near known subspaces.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/theory/token_model.h"

namespace aot {

/// Below this share of a cluster's size its noise is rounding, and counts as none.
constexpr double kNoiseFloor = 1e-13;

struct ClusterMeasures {
  double signal = 0;  // |Z_k U_k|_F
  double noise = 0;   // |Z_k (I - U_k U_k^T)|_F, formed as it stands: no difference of squares
  double size = 0;    // |Z_k|_F
  /// signal / noise: a ratio of amplitudes, not of powers; infinite without noise.   [Wang et al. 2025, section 3]
  [[nodiscard]] double snr() const;
  [[nodiscard]] bool noise_free() const { return noise <= kNoiseFloor * size; }
};

struct TokenMeasures {
  std::vector<ClusterMeasures> clusters;
  at::Tensor signal, noise;  // (N,) |z_i U_k|, |z_i (I - U_k U_k^T)| of each token with its own k
};

/// REQUIRES: rows of cluster k consecutive in z, as in `sample`. Signal and noise are those of `sample.truth`.
TokenMeasures measure_tokens(const at::Tensor& z, const TokenSample& sample);

/// (after.signal / before.signal) / (after.noise / before.noise); the noise's part is 1 while there is none.
double snr_ratio(const ClusterMeasures& before, const ClusterMeasures& after);

/// How far ratio and snr can be trusted: 1e-9, or the rounding of noise that is tiny beside the signal.
double ratio_tolerance(const ClusterMeasures& after);

/// Spectrum of the rows' Gram matrix: eigenvalues of rows^T rows that are not zero by shape alone.
at::Tensor gram_spectrum(const at::Tensor& rows);

/// exp of the entropy of the singular values' shares; 0 for rows of zeros.   [Roy and Vetterli 2007]
double effective_rank(const at::Tensor& spectrum);

/// 1/2 log det(I + D / (N eps^2) Z^T Z) of N rows of width D, in nats.   [Ma et al. 2007; R of Yu et al. 2020]
///   For R^c of given subspaces it is summed over the projections Z U_k, with D = p_k.   [Yu et al. 2023]
double coding_rate(const at::Tensor& spectrum, int64_t rows, int64_t width, double eps_squared);

struct Spectra {
  double effective_rank = 0;            // of Z
  std::vector<double> effective_ranks;  // of Z_k U_k
  double coding_rate = 0;               // R of Z
  double coding_rate_subspaces = 0;     // R^c: sum over k of R of Z U_k, all tokens
  double coding_rate_normalized = 0;    // both again with every token, and every token's projection, at unit length
  double coding_rate_subspaces_normalized = 0;
};

Spectra measure_spectra(const at::Tensor& z, const TokenSample& sample, double eps_squared);

}  // namespace aot
