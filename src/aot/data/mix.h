// SPDX-License-Identifier: Apache-2.0
// Mixing the images of a batch: mixup and cutmix.
#pragma once

#include <cstdint>

#include "aot/core/random.h"

namespace aot {

/// Floats (count, channels, height, width) in memory.
struct PixelBatch {
  float* pixels = nullptr;
  int64_t count = 0, channels = 0, height = 0, width = 0;
};

/// Mixes image i with image count - 1 - i, by mixup (a share of every pixel) or cutmix (a rectangle), as drawn from `random` with the
/// alphas given, of which one at least is above 0; with both, either is as likely. Returns the share that an image keeps of itself, for all
/// the same.                                                                                     [Zhang et al. 2018; Yun et al. 2019]
double mix_batch(Random& random, double mixup, double cutmix, const PixelBatch& batch);

/// A draw from Beta(alpha, alpha), 0 < alpha <= 1.                                                                            [Johnk 1964]
double draw_beta(Random& random, double alpha);

}  // namespace aot
