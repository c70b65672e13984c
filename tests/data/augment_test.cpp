// SPDX-License-Identifier: Apache-2.0
#include "aot/data/augment.h"

#include <set>

#include <gtest/gtest.h>

namespace aot {
namespace {

/// Pixels 1, 2, 3, ... (below 256).
Image counting(int64_t height, int64_t width, int64_t channels) {
  Image image;
  image.reshape(height, width, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i + 1);
  return image;
}

TEST(Shift, MovesPixelsAndLetsZerosIn) {
  const Image image = counting(5, 4, 3);
  Image moved;
  for (int64_t down = -6; down <= 6; ++down)
    for (int64_t right = -6; right <= 6; ++right) {
      shift_image(image, down, right, moved);
      for (int64_t y = 0; y < 5; ++y)
        for (int64_t x = 0; x < 4; ++x)
          for (int64_t c = 0; c < 3; ++c) {
            const int64_t from_y = y - down, from_x = x - right;
            const bool inside = from_y >= 0 && from_y < 5 && from_x >= 0 && from_x < 4;
            const int expected = inside ? image.pixels[static_cast<size_t>((from_y * 4 + from_x) * 3 + c)] : 0;
            ASSERT_EQ(moved.pixels[static_cast<size_t>((y * 4 + x) * 3 + c)], expected) << down << " " << right;
          }
    }
}

TEST(Shift, EveryShiftUpToTheMostComesAndNoOther) {
  const Image image = counting(9, 9, 1);
  std::set<std::string> expected, seen;
  Image moved, scratch;
  for (int64_t down = -2; down <= 2; ++down)
    for (int64_t right = -2; right <= 2; ++right) {
      shift_image(image, down, right, moved);
      expected.insert({moved.pixels.begin(), moved.pixels.end()});
    }
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    moved = image;
    augment({.shift = 2}, random, moved, scratch);
    seen.insert({moved.pixels.begin(), moved.pixels.end()});
  }
  EXPECT_TRUE(seen == expected);
}

TEST(Augment, DoesNothingByDefault) {
  Image image = counting(3, 3, 3), scratch;
  const std::vector<uint8_t> before = image.pixels;
  Random random(1);
  augment({}, random, image, scratch);
  EXPECT_EQ(image.pixels, before);
}

}  // namespace
}  // namespace aot
