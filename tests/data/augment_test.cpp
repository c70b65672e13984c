// SPDX-License-Identifier: Apache-2.0
#include "aot/data/augment.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "aot/data/rand_augment.h"
#include "aot/io/file.h"
#include "aot/io/json.h"

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

TEST(Flip, ChangesLeftAndRight) {
  for (const int64_t channels : {1, 3})
    for (const int64_t width : {1, 4, 5}) {
      const Image image = counting(3, width, channels);
      Image flipped = image;
      flip_image(flipped);
      for (int64_t y = 0; y < 3; ++y)
        for (int64_t x = 0; x < width; ++x)
          for (int64_t c = 0; c < channels; ++c)
            ASSERT_EQ(flipped.pixels[static_cast<size_t>((y * width + x) * channels + c)],
                      image.pixels[static_cast<size_t>((y * width + width - 1 - x) * channels + c)]);
    }
}

TEST(Crop, TakesWholePixelsInsideOfTheSharesAndRatiosAsked) {
  Random random(1);
  double least = 1, most = 0, narrow = 9, wide = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Box box = draw_crop(random, {375, 500}, .08);
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.height <= 375 && box.left + box.width <= 500);
    for (const double edge : {box.top, box.left, box.height, box.width}) ASSERT_EQ(edge, std::floor(edge));
    const double share = box.height * box.width / (375 * 500), ratio = box.width / box.height;
    least = std::min(least, share);
    most = std::max(most, share);
    narrow = std::min(narrow, ratio);
    wide = std::max(wide, ratio);
  }
  EXPECT_NEAR(least, .08, .005);
  EXPECT_NEAR(most, 1, .02);
  EXPECT_NEAR(narrow, 3.0 / 4, .01);
  EXPECT_NEAR(wide, 4.0 / 3, .01);
}

TEST(Crop, ImagesThatAreNoShareOfSuchARatioGiveTheirMiddle) {
  Random random(1);
  const Box box = draw_crop(random, {10, 1000}, .9);
  EXPECT_EQ(box.height, 10);
  EXPECT_EQ(box.width, 13);
  EXPECT_EQ(box.left, 493);
  const Box one = draw_crop(random, {1, 1}, .08);
  EXPECT_EQ(one.height * one.width, 1);
}

TEST(Operations, EqualPillows) {
  const std::string path = std::string(std::getenv("AOT_SOURCE")) + "/tests/golden/operations/operations.json";
  const Json golden = parse_json(read_file(path, 1 << 20), path);
  const std::vector<std::string> names = {"brightness", "colour",   "contrast",      "sharpness",
                                          "posterize",  "solarize", "auto_contrast", "equalize"};
  Image image, scratch;
  for (const Json& row : golden["rows"]) {
    const auto name = std::find(names.begin(), names.end(), row["operation"].get<std::string>());
    ASSERT_NE(name, names.end());
    image.reshape(golden["height"], golden["width"], 3);
    image.pixels = golden["pixels"].get<std::vector<uint8_t>>();
    const int first = static_cast<int>(ImageOperation::brightness);
    apply(static_cast<ImageOperation>(first + (name - names.begin())), row["amount"], image, scratch);
    for (size_t i = 0; i < image.pixels.size(); ++i)
      ASSERT_NEAR(image.pixels[i], row["pixels"][i].get<int>(), 1) << *name << " " << row["amount"] << " " << i;
  }
}

TEST(Operations, MovesTakePixelsFromWhereTheyAreSaidTo) {
  const Image image = counting(7, 9, 3);
  Image moved = image, expected, scratch;
  apply(ImageOperation::translate_x, 2, moved, scratch);
  shift_image(image, 0, 2, expected);
  EXPECT_EQ(moved.pixels, expected.pixels);
  moved = image;
  apply(ImageOperation::translate_y, -3, moved, scratch);
  shift_image(image, -3, 0, expected);
  EXPECT_EQ(moved.pixels, expected.pixels);
  moved = image;
  apply(ImageOperation::rotate, 180, moved, scratch);
  for (size_t i = 0; i < 63; ++i) EXPECT_EQ(moved.pixels[3 * i], image.pixels[3 * (62 - i)]);
  moved = counting(8, 8, 1);
  apply(ImageOperation::rotate, 90, moved, scratch);  // counter-clockwise: the upper right corner comes to the upper left
  EXPECT_EQ(moved.pixels[0], 8);
  moved = counting(4, 5, 1);
  apply(ImageOperation::shear_x, 1, moved, scratch);
  EXPECT_EQ(moved.pixels, (std::vector<uint8_t>{3, 4, 5, 0, 0, 7, 8, 9, 10, 0, 11, 12, 13, 14, 15, 0, 16, 17, 18, 19}));
}

TEST(Operations, AMagnitudeOfZeroAndAnIdentityKeepTheImageButForHistograms) {
  const Image image = counting(9, 9, 3);
  int changed = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Image same = image, scratch;
    Random random(seed);
    rand_augment(random, 0, same, scratch);
    changed += same.pixels == image.pixels ? 0 : 1;
  }
  EXPECT_LE(changed, 300 * 3 / 14 + 40) << "auto contrast, equalize, and 255 inverted by solarize";
}

TEST(Operations, GreyImagesAndSinglePixelsAreImagesToo) {
  for (const auto& [side, channels] : {std::pair<int64_t, int64_t>{1, 1}, {1, 3}, {5, 1}})
    for (uint64_t seed = 0; seed < 200; ++seed) {
      Image image = counting(side, side, channels), scratch;
      Random random(seed);
      augment({.shift = 1, .flip = .5, .randaugment = 2, .randaugment_magnitude = 30}, random, image, scratch);
      ASSERT_EQ(image.pixels.size(), static_cast<size_t>(side * side * channels));
    }
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
