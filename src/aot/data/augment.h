// SPDX-License-Identifier: Apache-2.0
// What is done to an image at random before it is trained on (docs/images.md). Everything is off by default.
#pragma once

#include <cstdint>

#include "aot/core/options.h"
#include "aot/core/random.h"
#include "aot/data/resize.h"
#include "aot/io/image_file.h"

namespace aot {

struct AugmentOptions {
  int64_t shift = 0;                  // pixels in each direction, at most
  double crop_scale = 0;              // random resized crop: the least share of the area that is kept; 0: no crop
  double flip = 0;                    // how likely left and right change places
  int64_t randaugment = 0;            // operations of RandAugment, one after the other
  int64_t randaugment_magnitude = 9;  // of 30
  double erase = 0;                   // how likely a rectangle is blanked
  double mixup = 0, cutmix = 0;       // alpha of the Beta distribution that images of a batch are mixed by; 0: not
};

void describe(Fields& fields, AugmentOptions& options);

/// Changes `image` by flip, RandAugment and shift, in this order, drawn from `random`: equal randomness, equal result. Crop, erasing and
/// mixing belong to the loader. `scratch` keeps memory between calls.
void augment(const AugmentOptions& options, Random& random, Image& image, Image& scratch);

/// The part that a random resized crop takes: a share of the area uniform over [crop_scale, 1], the ratio of its sides log-uniform over
/// [3/4, 4/3]; whole pixels. Where ten draws do not fit, the largest part in the middle with such a ratio.      [Szegedy et al. 2015;
/// torchvision]
Box draw_crop(Random& random, const ImageSize& size, double crop_scale);

/// The rectangle that random erasing blanks: 2 to 33 % of the area, sides in a ratio log-uniform over [0.3, 3.3]; empty when ten draws do
/// not fit.                                                                                                           [Zhong et al. 2020]
Box draw_erased(Random& random, const ImageSize& size);

/// The image moved down by `down` and right by `right` pixels (negative: up, left); what comes in is 0.
void shift_image(const Image& image, int64_t down, int64_t right, Image& into);

/// Changes left and right in place.
void flip_image(Image& image);

}  // namespace aot
