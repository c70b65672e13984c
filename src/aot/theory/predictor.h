// SPDX-License-Identifier: Apache-2.0
// The window of thresholds that the theorem allows, and when its exact rate ends.
#pragma once

#include <cstdint>
#include <optional>

#include "aot/theory/denoise.h"

namespace aot {

/// (32/9) ln N: the window of thresholds is empty unless p exceeds it.   [ours, from the window of Wang et al. 2025, Thm 3.1]
double least_dimension(int64_t tokens);

/// 1 / (1 + N exp(-9 p / 32)): the largest threshold that the theorem allows.   [Wang et al. 2025, Thm 3.1]
double largest_tau(int64_t tokens, int64_t dim);

/// When the mask is expected to stop being exact. Ours:
///   while the mask is exact, signals grow by gamma a layer and noise stays, so in head k the scores of a token of another cluster against
///   the tokens of C_k are about N(0, s^2) with s = delta sqrt(p) gamma^(l - 1). They diverge: for every delta > 0 some layer is the last.
///   The largest of all (K - 1) N N_k such scores is about s sqrt(2 ln((K - 1) N N_k)), and passes when it exceeds
///   ln(N_k exp(s^2 / 2) + N - N_k) + ln(tau / (1 - tau)): the mean over the rest of its row, and the odds that tau asks for.
///   A first-moment estimate, valid while s < sqrt(2 ln N_k): beyond, a row's largest terms outweigh their mean.
struct Prediction {
  enum class Kind {
    ends,     // `layers` is the number of leading exact layers
    endless,  // no layer is the last: no noise, or one subspace
    outside,  // another layer than the formula's, or it finds no end where it is valid: tau close to 1, or few tokens a cluster
  };
  Kind kind = Kind::ends;
  std::optional<int64_t> layers;  // for `ends`
  double first_size = 0;          // s of layer 1: delta sqrt(p)
  double critical_size = 0;       // s at which the pattern is expected to break; infinite when the kind is another
};

/// The first s in (0, sqrt(2 ln N_k)) at which the largest score passes, or infinity.   `clusters` is K, `own` is N_k.
double critical_noise(int64_t tokens, int64_t clusters, double own, double tau);

/// phi = threshold, skip form, no norm and scale 1: the layer that the formula is about. Others have other laws, and their s another
/// growth.
bool has_formula(const LayerOptions& layer);

/// Unequal clusters and dimensions are predicted by the head that breaks first. Layers without a formula are `outside`.
Prediction predict_layers(const DenoiseOptions& options);

}  // namespace aot
