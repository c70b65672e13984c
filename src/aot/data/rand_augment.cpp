// SPDX-License-Identifier: Apache-2.0
#include "aot/data/rand_augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace aot {
namespace {

constexpr double kRadians = 3.14159265358979323846 / 180;

using Table = std::array<uint8_t, 256>;

uint8_t pixel_of(double value) {
  return static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

uint8_t brightness_at(const uint8_t* pixel, int64_t channels) {
  return channels == 1 ? pixel[0] : brightness_of(pixel[0], pixel[1], pixel[2]);
}

template <class Function>
void map_values(Image& image, const Function& function) {
  Table table = {};
  for (size_t value = 0; value < table.size(); ++value) table[value] = pixel_of(function(static_cast<double>(value)));
  for (uint8_t& pixel : image.pixels) pixel = table[pixel];
}

/// Which place of the image each pixel comes from, around the middle: (x, y) from (a x + b y + c, d x + e y + f).
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;
};

void transform(const Affine& from, Image& image, Image& scratch) {
  scratch.reshape(image.height, image.width, image.channels);
  const double middle_x = static_cast<double>(image.width) / 2, middle_y = static_cast<double>(image.height) / 2;
  uint8_t* out = scratch.pixels.data();
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x, out += image.channels) {
      const double u = static_cast<double>(x) + .5 - middle_x, v = static_cast<double>(y) + .5 - middle_y;
      const auto source_x = static_cast<int64_t>(std::floor(from.a * u + from.b * v + from.c + middle_x));
      const auto source_y = static_cast<int64_t>(std::floor(from.d * u + from.e * v + from.f + middle_y));
      const bool inside = source_x >= 0 && source_x < image.width && source_y >= 0 && source_y < image.height;
      if (inside)
        std::copy_n(image.pixels.data() + (source_y * image.width + source_x) * image.channels, image.channels, out);
      else
        std::fill_n(out, image.channels, uint8_t{0});
    }
  std::swap(image, scratch);
}

/// image = other + factor (image - other).
void mix_with(const Image& other, double factor, Image& image) {
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = pixel_of(other.pixels[i] + factor * (image.pixels[i] - other.pixels[i]));
}

/// Every pixel the weighted mean of its neighbourhood of 3 x 3, the middle counting 5; edges stay.
void blur(const Image& image, Image& into) {
  into = image;
  const int64_t channels = image.channels, row = image.width * channels;
  for (int64_t y = 1; y + 1 < image.height; ++y)
    for (int64_t i = channels; i < row - channels; ++i) {
      const uint8_t* at = image.pixels.data() + y * row + i;
      int sum = 4 * *at;
      for (const int64_t line : {-row, int64_t{0}, row}) sum += at[line - channels] + at[line] + at[line + channels];
      into.pixels[static_cast<size_t>(y * row + i)] = static_cast<uint8_t>((sum + 6) / 13);
    }
}

void saturate(double factor, Image& image) {
  if (image.channels == 1) return;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const double grey = brightness_at(&image.pixels[i], 3);
    for (size_t c = 0; c < 3; ++c) image.pixels[i + c] = pixel_of(grey + factor * (image.pixels[i + c] - grey));
  }
}

double mean_brightness(const Image& image) {
  int64_t sum = 0;
  for (size_t i = 0; i < image.pixels.size(); i += static_cast<size_t>(image.channels))
    sum += brightness_at(&image.pixels[i], image.channels);
  return static_cast<double>(sum) / static_cast<double>(image.height * image.width);
}

/// Gives each channel a table of its own, made from how often each value occurs.
template <class MakeTable>
void map_channels(Image& image, const MakeTable& make_table) {
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < channels; ++c) {
    std::array<int64_t, 256> counts = {};
    for (size_t i = c; i < image.pixels.size(); i += channels) ++counts[image.pixels[i]];
    const Table table = make_table(counts);
    for (size_t i = c; i < image.pixels.size(); i += channels) image.pixels[i] = table[image.pixels[i]];
  }
}

Table stretched(const std::array<int64_t, 256>& counts) {
  size_t lowest = 0, highest = 255;
  while (lowest < 255 && counts[lowest] == 0) ++lowest;
  while (highest > 0 && counts[highest] == 0) --highest;
  Table table = {};
  for (size_t value = 0; value < table.size(); ++value)
    table[value] = highest > lowest
                       ? pixel_of(255 * (static_cast<double>(value) - static_cast<double>(lowest)) / static_cast<double>(highest - lowest))
                       : static_cast<uint8_t>(value);
  return table;
}

/// As PIL's equalize: the last value that occurs does not count towards a step.
Table equalized(const std::array<int64_t, 256>& counts) {
  int64_t all = 0, last = 0;
  for (const int64_t count : counts) {
    all += count;
    if (count > 0) last = count;
  }
  const int64_t step = (all - last) / 255;
  Table table = {};
  int64_t below = step / 2;
  for (size_t value = 0; value < table.size(); ++value) {
    table[value] = step > 0 ? static_cast<uint8_t>(std::min<int64_t>(255, below / step)) : static_cast<uint8_t>(value);
    below += counts[value];
  }
  return table;
}

}  // namespace

void apply(ImageOperation operation, double amount, Image& image, Image& scratch) {
  switch (operation) {
    case ImageOperation::identity:
      return;
    case ImageOperation::shear_x:
      return transform({.b = -amount}, image, scratch);
    case ImageOperation::shear_y:
      return transform({.d = -amount}, image, scratch);
    case ImageOperation::translate_x:
      return transform({.c = -amount}, image, scratch);
    case ImageOperation::translate_y:
      return transform({.f = -amount}, image, scratch);
    case ImageOperation::rotate: {
      const double c = std::cos(amount * kRadians), s = std::sin(amount * kRadians);
      return transform({.a = c, .b = -s, .d = s, .e = c}, image, scratch);
    }
    case ImageOperation::brightness:
      return map_values(image, [amount](double x) { return amount * x; });
    case ImageOperation::colour:
      return saturate(amount, image);
    case ImageOperation::contrast: {
      const double mean = mean_brightness(image);
      return map_values(image, [amount, mean](double x) { return mean + amount * (x - mean); });
    }
    case ImageOperation::sharpness:
      blur(image, scratch);
      return mix_with(scratch, amount, image);
    case ImageOperation::posterize: {
      const int mask = 0xff & ~((1 << (8 - static_cast<int>(amount))) - 1);
      return map_values(image, [mask](double x) { return static_cast<double>(static_cast<int>(x) & mask); });
    }
    case ImageOperation::solarize:
      return map_values(image, [amount](double x) { return x >= amount ? 255 - x : x; });
    case ImageOperation::auto_contrast:
      return map_channels(image, stretched);
    case ImageOperation::equalize:
      return map_channels(image, equalized);
  }
}

void rand_augment(Random& random, int64_t magnitude, Image& image, Image& scratch) {
  const auto operation = static_cast<ImageOperation>(random.below(kImageOperations));
  const double share = static_cast<double>(magnitude) / kRandAugmentMost, sign = random.below(2) == 0 ? 1 : -1;
  const auto amount = [&]() -> double {
    switch (operation) {
      case ImageOperation::shear_x:
      case ImageOperation::shear_y:
        return sign * .3 * share;
      case ImageOperation::translate_x:
        return std::trunc(sign * 150.0 / 331 * static_cast<double>(image.width) * share);
      case ImageOperation::translate_y:
        return std::trunc(sign * 150.0 / 331 * static_cast<double>(image.height) * share);
      case ImageOperation::rotate:
        return sign * 30 * share;
      case ImageOperation::brightness:
      case ImageOperation::colour:
      case ImageOperation::contrast:
      case ImageOperation::sharpness:
        return 1 + sign * .9 * share;
      case ImageOperation::posterize:
        return static_cast<double>(8 - std::lround(4 * share));
      case ImageOperation::solarize:
        return 255 * (1 - share);
      default:
        return 0;
    }
  };
  apply(operation, amount(), image, scratch);
}

}  // namespace aot
