// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace aot {

/// Pixels of 8 bits, (height, width, channels), row by row; channels are 1 (grey) or 3 (red, green, blue).
struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;

  /// Takes another shape; what the pixels are then is left open.
  void reshape(int64_t new_height, int64_t new_width, int64_t new_channels) {
    height = new_height;
    width = new_width;
    channels = new_channels;
    pixels.resize(static_cast<size_t>(height * width * channels));
  }
};

/// Brightness of a colour by ITU-R 601, rounded: how colours become grey.
inline uint8_t brightness_of(int red, int green, int blue) {
  return static_cast<uint8_t>((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

/// No image from outside may be larger than this on a side, or hold more pixels.
constexpr int64_t kMaxImageSide = 16'384;
constexpr int64_t kMaxImagePixels = 64'000'000;

}  // namespace aot
