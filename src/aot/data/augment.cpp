// SPDX-License-Identifier: Apache-2.0
#include "aot/data/augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "aot/data/drawing.h"
#include "aot/data/rand_augment.h"

namespace aot {
namespace {

constexpr int kAttempts = 10;

/// Uniform over -most, ..., most.
int64_t draw_both_ways(Random& random, int64_t most) {
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * most + 1))) - most;
}

/// A rectangle of a share of the area in [least, most] and a ratio of width to height log-uniform over [ratio_low, ratio_high], in whole
/// pixels, anywhere; false when no attempt fits.
bool draw_rectangle(Random& random, const ImageSize& size, double least, double most, double ratio_low, double ratio_high, Box& box) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double area = static_cast<double>(size.height * size.width) * draw_between(random, least, most);
    const double ratio = std::exp(draw_between(random, std::log(ratio_low), std::log(ratio_high)));
    const int64_t width = std::llround(std::sqrt(area * ratio)), height = std::llround(std::sqrt(area / ratio));
    if (width < 1 || height < 1 || width > size.width || height > size.height) continue;
    const uint64_t top = random.below(static_cast<uint64_t>(size.height - height + 1)),
                   left = random.below(static_cast<uint64_t>(size.width - width + 1));
    box = {static_cast<double>(top), static_cast<double>(left), static_cast<double>(height), static_cast<double>(width)};
    return true;
  }
  return false;
}

}  // namespace

void describe(Fields& fields, AugmentOptions& options) {
  fields.heading("Augmentation");
  fields.add("shift", options.shift, "moves images by up to this many pixels, zeros coming in").min(0).max(kMaxImageSide);
  fields.add("crop-scale", options.crop_scale, "random resized crop: least share of the area that is kept; 0: no crop").min(0).max(1);
  fields.add("flip", options.flip, "probability that left and right change places").min(0).max(1);
  fields.add("randaugment", options.randaugment, "RandAugment: operations per image; 0: none").min(0).max(14);
  fields.add("randaugment-magnitude", options.randaugment_magnitude, "RandAugment: how strong").min(0).max(kRandAugmentMost);
  fields.add("erase", options.erase, "probability that a rectangle is blanked").min(0).max(1);
  fields.add("mixup", options.mixup, "mixes pairs of images by a share drawn from Beta(x, x); 0: not").min(0).max(1);
  fields
      .add("cutmix", options.cutmix,
           "pastes a rectangle of another image, its share drawn from Beta(x, x); 0: not; with mixup: one of both")
      .min(0)
      .max(1);
}

void augment(const AugmentOptions& options, Random& random, Image& image, Image& scratch) {
  if (options.flip > 0 && random.uniform() < options.flip) flip_image(image);
  for (int64_t i = 0; i < options.randaugment; ++i) rand_augment(random, options.randaugment_magnitude, image, scratch);
  if (options.shift > 0) {
    const int64_t down = draw_both_ways(random, options.shift), right = draw_both_ways(random, options.shift);
    shift_image(image, down, right, scratch);
    std::swap(image, scratch);
  }
}

Box draw_crop(Random& random, const ImageSize& size, double crop_scale) {
  constexpr double kLow = 3.0 / 4, kHigh = 4.0 / 3;
  Box box;
  if (draw_rectangle(random, size, crop_scale, 1, kLow, kHigh, box)) return box;
  const double ratio = std::clamp(static_cast<double>(size.width) / static_cast<double>(size.height), kLow, kHigh);
  const int64_t width = std::min<int64_t>(size.width, std::max<int64_t>(1, std::llround(static_cast<double>(size.height) * ratio)));
  const int64_t height = std::min<int64_t>(size.height, std::max<int64_t>(1, std::llround(static_cast<double>(size.width) / ratio)));
  const int64_t top = (size.height - height) / 2, left = (size.width - width) / 2;
  return {static_cast<double>(top), static_cast<double>(left), static_cast<double>(height), static_cast<double>(width)};
}

Box draw_erased(Random& random, const ImageSize& size) {
  Box box;
  draw_rectangle(random, size, .02, .33, .3, 3.3, box);
  return box;
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

void flip_image(Image& image) {
  const int64_t row = image.width * image.channels;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t left = 0, right = image.width - 1; left < right; ++left, --right) {
      uint8_t* pixels = image.pixels.data() + y * row;
      std::swap_ranges(pixels + left * image.channels, pixels + (left + 1) * image.channels, pixels + right * image.channels);
    }
}

}  // namespace aot
