// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "aot/io/image.h"

namespace aot {

/// A part of an image in pixels; edges may lie between two pixels.
struct Box {
  double top = 0, left = 0, height = 0, width = 0;
};

/// The part `box` of `image`, resized to (height, width) by cubic convolution (Keys 1981, a = -1/2), antialiased: where the image shrinks,
/// the kernel is as much wider. Weights are normalised over the pixels that the box touches, so that the result is that of cropping first.
/// Equals Pillow's and torchvision's antialiased bicubic up to rounding. REQUIRES: box inside the image, sizes above 0, image != into.
void resize_image(const Image& image, const Box& box, int64_t height, int64_t width, Image& into);

/// The middle (height, width) of the image resized so that its shorter side is `shorter`, the longer one cut to a whole pixel: what
/// torchvision's Resize and CenterCrop give, without the pixels that are cut away. REQUIRES: height and width at most `shorter`.
void resize_and_crop(const Image& image, int64_t shorter, int64_t height, int64_t width, Image& into);

}  // namespace aot
