// SPDX-License-Identifier: Apache-2.0
// From a stored image to the (side, side) pixels that a model looks at.
#pragma once

#include <cstdint>
#include <vector>

#include "aot/data/image_dataset.h"
#include "aot/data/resize.h"

namespace aot {

/// The view that a model has of images: none by default, which is for images of one size.
struct ViewOptions {
  int64_t image_size = 0;  // side of what the model sees; 0: as the images are
  int64_t resize = 0;      // in evaluation the shorter side is resized to this before the middle is cut out; 0: to image_size
};

/// How much smaller a JPEG may be decoded, 1, 2, 4 or 8, so that `box` of it still has (height, width) pixels.
int64_t shrink_for(const Box& box, int64_t height, int64_t width);

/// `box` of image `index`, in the pixels that size_of tells, resized to (height, width); decoded no larger than needed.
void read_part(const ImageSplit& split, int64_t index, const Box& box, int64_t height, int64_t width, Image& into, Image& scratch);

/// What evaluation sees: the shorter side resized to `shorter`, the middle (side, side) of that.
void read_middle(const ImageSplit& split, int64_t index, int64_t shorter, int64_t side, Image& into, Image& scratch);

/// The mask of what `read_middle` gives, (side, side): for each pixel that of the stored pixel nearest to it. REQUIRES: split.has_masks().
void read_middle_mask(const ImageSplit& split, int64_t index, int64_t shorter, int64_t side, std::vector<uint8_t>& into,
                      std::vector<uint8_t>& scratch);

}  // namespace aot
