// SPDX-License-Identifier: Apache-2.0
#include "aot/data/augment.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace aot {
namespace {

/// Uniform over -most, ..., most.
int64_t draw_both_ways(Random& random, int64_t most) {
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * most + 1))) - most;
}

}  // namespace

void describe(Fields& fields, AugmentOptions& options) {
  fields.heading("Augmentation");
  fields.add("shift", options.shift, "moves images by up to this many pixels, zeros coming in").min(0).max(kMaxImageSide);
}

void augment(const AugmentOptions& options, Random& random, Image& image, Image& scratch) {
  if (options.shift > 0) {
    const int64_t down = draw_both_ways(random, options.shift), right = draw_both_ways(random, options.shift);
    shift_image(image, down, right, scratch);
    std::swap(image, scratch);
  }
}

void shift_image(const Image& image, int64_t down, int64_t right, Image& into) {
  into.reshape(image.height, image.width, image.channels);
  std::fill(into.pixels.begin(), into.pixels.end(), uint8_t{0});
  const int64_t columns = image.width - std::abs(right);
  if (columns <= 0) return;
  const int64_t from = std::max<int64_t>(0, -right), to = std::max<int64_t>(0, right);
  for (int64_t y = std::max<int64_t>(0, down); y < std::min(image.height, image.height + down); ++y)
    std::memcpy(into.pixels.data() + (y * image.width + to) * image.channels,
                image.pixels.data() + ((y - down) * image.width + from) * image.channels, static_cast<size_t>(columns * image.channels));
}

}  // namespace aot
