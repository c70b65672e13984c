// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "aot/core/random.h"
#include "aot/io/image.h"

namespace aot {

/// Magnitudes go from 0 to this.
constexpr int64_t kRandAugmentMost = 30;

/// The operations of RandAugment, as torchvision's, in its order.      [Cubuk et al. 2020]
enum class ImageOperation {
  identity,
  shear_x,  // by the tangent, around the middle (torchvision: the corner); these five are sampled at the nearest pixel, zeros coming in
  shear_y,
  translate_x,  // by pixels
  translate_y,
  rotate,         // by degrees, counter-clockwise around the middle
  brightness,     // mixes with black; these four by a factor, 1 changing nothing
  colour,         // with grey of the same brightness
  contrast,       // with the mean brightness
  sharpness,      // with a blurred image
  posterize,      // keeps this many bits
  solarize,       // inverts what is at least this bright
  auto_contrast,  // stretches each channel to 0 ... 255
  equalize,       // makes the values of each channel equally likely
};
constexpr int64_t kImageOperations = 14;

void apply(ImageOperation operation, double amount, Image& image, Image& scratch);

/// One operation drawn at random, its amount by `magnitude` as torchvision's RandAugment has it, either way where it has a sign.
void rand_augment(Random& random, int64_t magnitude, Image& image, Image& scratch);

}  // namespace aot
