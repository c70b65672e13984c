// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_make.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "aot/data/image_dataset.h"
#include "aot/data/image_prepare.h"
#include "tests/support/files.h"

namespace aot {
namespace {

using Draw = ImageSources (*)(int64_t count, int64_t side, uint64_t seed);

std::vector<LabelledImage> all_of(Draw draw, int64_t count, int64_t side, uint64_t seed) {
  const ImageSources sources = draw(count, side, seed);
  std::vector<LabelledImage> images(static_cast<size_t>(sources.train->size()));
  for (LabelledImage& image : images) sources.train->next(image);
  return images;
}

class Drawn : public testing::TestWithParam<Draw> {};

TEST_P(Drawn, AnImageIsAFunctionOfSeedAndPlace) {
  const std::vector<LabelledImage> few = all_of(GetParam(), 5, 33, 1), many = all_of(GetParam(), 9, 33, 1),
                                   other = all_of(GetParam(), 5, 33, 2);
  for (size_t i = 0; i < few.size(); ++i) {
    EXPECT_EQ(few[i].image.pixels, many[i].image.pixels);
    EXPECT_EQ(few[i].label, many[i].label);
    EXPECT_EQ(few[i].mask, many[i].mask);
    EXPECT_NE(few[i].image.pixels, other[i].image.pixels);
  }
}

TEST_P(Drawn, ClassesAreEquallyLikely) {
  const ImageSources sources = GetParam()(4000, 1, 1);
  const auto classes = static_cast<double>(sources.classes.size());
  std::vector<double> counts(sources.classes.size());
  LabelledImage image;
  for (int i = 0; i < 4000; ++i) {
    sources.train->next(image);
    ++counts[static_cast<size_t>(image.label)];
  }
  for (const double count : counts) EXPECT_NEAR(count, 4000 / classes, 5 * std::sqrt(4000 / classes));
}

INSTANTIATE_TEST_SUITE_P(Sets, Drawn, testing::Values(drawn_digits, drawn_shapes),
                         [](const auto& set) { return set.index == 0 ? "digits" : "shapes"; });

TEST(DrawnDigits, NearestNeighboursTellThemApart) {
  const std::vector<LabelledImage> known = all_of(drawn_digits, 1500, 28, 1), asked = all_of(drawn_digits, 200, 28, 2);
  int right = 0;
  for (const LabelledImage& image : asked) {
    int64_t best = std::numeric_limits<int64_t>::max(), label = -1;
    for (const LabelledImage& other : known) {
      int64_t distance = 0;
      for (size_t i = 0; i < image.image.pixels.size(); ++i) {
        const int64_t d = int64_t{image.image.pixels[i]} - other.image.pixels[i];
        distance += d * d;
      }
      if (distance < best) {
        best = distance;
        label = other.label;
      }
    }
    right += label == image.label ? 1 : 0;
  }
  EXPECT_GE(right, 170) << "of 200; guessing gives 20";
}

TEST(DrawnShapes, TheMaskIsWhereTheOtherColoursAre) {
  for (const LabelledImage& drawn : all_of(drawn_shapes, 200, 64, 3)) {
    std::array<double, 3> sums[2] = {{}, {}};
    std::array<int64_t, 2> counts = {0, 0};
    for (size_t i = 0; i < drawn.mask.size(); ++i) {
      ASSERT_LE(drawn.mask[i], 1);
      ++counts[drawn.mask[i]];
      for (size_t c = 0; c < 3; ++c) sums[drawn.mask[i]][c] += drawn.image.pixels[3 * i + c];
    }
    const double share = static_cast<double>(counts[1]) / static_cast<double>(drawn.mask.size());
    EXPECT_GT(share, .04);
    EXPECT_LT(share, .3);
    double difference = 0;
    for (size_t c = 0; c < 3; ++c)
      difference += std::abs(sums[0][c] / static_cast<double>(counts[0]) - sums[1][c] / static_cast<double>(counts[1]));
    EXPECT_GT(difference, 60) << "of 765, between the mean colours of shape and ground";
  }
}

TEST(DrawnShapes, MasksArePackedBesideTheImages) {
  const TestFolder folder;
  pack_images(drawn_shapes(10, 16, 1), "drawn", {.out = folder.path("out"), .val_count = 4});
  const ImageDataset data = open_image_dataset(folder.path("out"));
  EXPECT_EQ(data.classes[6], "star");
  const std::vector<LabelledImage> drawn = all_of(drawn_shapes, 10, 16, 1);
  std::vector<uint8_t> mask;
  for (int64_t i = 0; i < 10; ++i) {
    const ImageSplit& split = i < 6 ? *data.train : *data.val;
    ASSERT_TRUE(split.has_masks());
    split.read_mask(i < 6 ? i : i - 6, mask);
    EXPECT_EQ(mask, drawn[static_cast<size_t>(i)].mask);
  }
  data.val->check_all();
  std::string masks = folder.read("out/val.masks");
  masks[0] = static_cast<char>(masks[0] ^ 1);
  folder.write("out/val.masks", masks);
  expect_error(3, "digest mismatch", [&] { open_image_dataset(folder.path("out")).val->check_all(); });
  folder.write("out/val.masks", masks.substr(1));
  expect_error(3, "meta.json says 4 images", [&] { open_image_dataset(folder.path("out")); });
}

TEST(DrawnDigits, HaveNoMasks) {
  const TestFolder folder;
  pack_images(drawn_digits(10, 16, 1), "drawn", {.out = folder.path("out")});
  const ImageDataset data = open_image_dataset(folder.path("out"));
  EXPECT_FALSE(data.train->has_masks());
  std::vector<uint8_t> mask;
  expect_error(1, "has no masks", [&] { data.train->read_mask(0, mask); });
}

}  // namespace
}  // namespace aot
