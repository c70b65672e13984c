// SPDX-License-Identifier: Apache-2.0
// How well a model's features sort pictures without any training on top: classes by the vote of the nearest training pictures.
#pragma once

#include <cstdint>
#include <optional>

#include "aot/eval/pictures.h"

namespace aot {

struct NeighbourOptions {
  int64_t neighbours = 20;    // k, or all training pictures when there are fewer
  double temperature = 0.07;  // tau
};

/// A picture's score for a class is the sum of exp(s / tau) over those of its k nearest training pictures that have this class; s is the
/// cosine of the features, and nearest is largest s.      [Wu et al. 2018, section 3.4; Caron et al. 2021 (DINO), k = 20, tau = 0.07]
///   features of both (N, D), labels below `classes`. Cost: O(N_train N_val D) time, 128 MiB beside the features.
///   Nothing when a signal asked for a stop.
std::optional<PictureScore> score_neighbours(const PictureFeatures& train, const PictureFeatures& val, int64_t classes,
                                             const NeighbourOptions& options = {}, bool progress = false);

}  // namespace aot
