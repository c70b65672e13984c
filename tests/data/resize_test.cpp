// SPDX-License-Identifier: Apache-2.0
#include "aot/data/resize.h"

#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "tests/support/files.h"

namespace aot {
namespace {

/// The pattern of tests/golden/resize/make.py.
Image pattern(int64_t height, int64_t width, int64_t channels) {
  Image image;
  image.reshape(height, width, channels);
  size_t at = 0;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        image.pixels[at++] = static_cast<uint8_t>((x * x * 3 + y * 7 * x + 40 * c + y / 3 * 31 + (x * 97 + y * 57) % 5 * 20) % 256);
  return image;
}

Image noise(int64_t height, int64_t width, int64_t channels) {
  Image image;
  image.reshape(height, width, channels);
  Random random(1);
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(random.below(256));
  return image;
}

Box whole(const Image& image) {
  return {0, 0, static_cast<double>(image.height), static_cast<double>(image.width)};
}

TEST(Resize, EqualsPillowUpToRounding) {
  const std::string path = std::string(std::getenv("AOT_SOURCE")) + "/tests/golden/resize/resized.json";
  const Json rows = parse_json(read_file(path, 1 << 20), path);
  ASSERT_GE(rows.size(), 5u);
  for (const Json& row : rows) {
    const Image image = pattern(row["height"], row["width"], row["channels"]);
    Box box = whole(image);
    if (!row["box"].is_null())
      box = {row["box"][1], row["box"][0], row["box"][3].get<double>() - row["box"][1].get<double>(),
             row["box"][2].get<double>() - row["box"][0].get<double>()};
    Image resized;
    resize_image(image, box, row["new_height"], row["new_width"], resized);
    ASSERT_EQ(resized.pixels.size(), row["pixels"].size());
    double sum = 0;
    for (size_t i = 0; i < resized.pixels.size(); ++i) {
      const int difference = std::abs(int{resized.pixels[i]} - row["pixels"][i].get<int>());
      EXPECT_LE(difference, 6) << i;  // Pillow rounds, and cuts at 0 and 255, between the two directions
      sum += difference;
    }
    EXPECT_LE(sum / static_cast<double>(resized.pixels.size()), .5) << dump_json(row["box"]) << row["height"];
  }
}

TEST(Resize, KeepsAnImageOfTheSameSizeAndFlatOnes) {
  const Image image = noise(13, 17, 3);
  Image resized;
  resize_image(image, whole(image), 13, 17, resized);
  EXPECT_EQ(resized.pixels, image.pixels);
  Image flat;
  flat.reshape(40, 30, 1);
  std::fill(flat.pixels.begin(), flat.pixels.end(), uint8_t{200});
  for (const int64_t size : {1, 7, 100}) {
    resize_image(flat, {1.25, 2.5, 30.5, 20.25}, size, size, resized);
    EXPECT_EQ(resized.pixels, std::vector<uint8_t>(static_cast<size_t>(size * size), 200));
  }
}

TEST(Resize, ReadsNothingOutsideTheBox) {
  Image image = noise(20, 20, 3), first, second;
  resize_image(image, {4, 6, 10, 8}, 5, 23, first);
  for (int64_t y = 0; y < 20; ++y)
    for (int64_t x = 0; x < 20; ++x)
      for (int64_t c = 0; c < 3; ++c)
        if (y < 4 || y >= 14 || x < 6 || x >= 14) image.pixels[static_cast<size_t>((y * 20 + x) * 3 + c)] ^= 0x55;
  resize_image(image, {4, 6, 10, 8}, 5, 23, second);
  EXPECT_EQ(first.pixels, second.pixels);
}

TEST(Resize, TheMiddleIsThatOfTheWholeImageResized) {
  for (const auto& [height, width, shorter, crop_height, crop_width] :
       {std::array<int64_t, 5>{37, 50, 32, 28, 28}, {50, 37, 16, 15, 16}, {9, 9, 20, 20, 13}, {375, 500, 256, 224, 224}}) {
    const Image image = noise(height, width, 3);
    const int64_t shortest = std::min(height, width), full_height = shorter * height / shortest, full_width = shorter * width / shortest;
    Image full, middle;
    resize_image(image, whole(image), full_height, full_width, full);
    resize_and_crop(image, shorter, crop_height, crop_width, middle);
    const auto top = static_cast<int64_t>(std::nearbyint(static_cast<double>(full_height - crop_height) / 2));
    const auto left = static_cast<int64_t>(std::nearbyint(static_cast<double>(full_width - crop_width) / 2));
    for (int64_t y = 0; y < crop_height; ++y)
      for (int64_t i = 0; i < crop_width * 3; ++i)
        ASSERT_NEAR(middle.pixels[static_cast<size_t>(y * crop_width * 3 + i)],
                    full.pixels[static_cast<size_t>(((top + y) * full_width + left) * 3 + i)], 1)
            << height;
  }
}

TEST(Resize, RefusesBoxesOutside) {
  const Image image = noise(4, 4, 1);
  Image into;
  for (const Box& box : {Box{-1, 0, 2, 2}, Box{0, 0, 5, 2}, Box{0, 3, 1, 2}, Box{0, 0, 0, 1}})
    expect_error(1, "resize of", [&] { resize_image(image, box, 2, 2, into); });
  expect_error(1, "crop of", [&] { resize_and_crop(image, 4, 5, 4, into); });
}

}  // namespace
}  // namespace aot
