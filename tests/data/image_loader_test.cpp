// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_loader.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "aot/data/image_prepare.h"
#include "tests/data/random_bytes.h"
#include "tests/support/files.h"
#include "tests/support/idx.h"

namespace aot {
namespace {

constexpr int64_t kImages = 23, kHeight = 4, kWidth = 3, kValues = kHeight * kWidth;

/// What one batch held, copied.
struct Copy {
  int64_t first_sample = 0;
  std::vector<int64_t> labels;
  std::vector<float> pixels;
  bool operator==(const Copy& other) const {
    return first_sample == other.first_sample && labels == other.labels && pixels == other.pixels;
  }
};

class Loader : public testing::Test {
 protected:
  // Image i holds random pixels, its label is i.
  void SetUp() override {
    std::string labels(kImages, '\0');
    std::iota(labels.begin(), labels.end(), '\0');
    prepare_images({.images = folder_.write("i", idx_bytes({kImages, kHeight, kWidth}, random_bytes(1, kImages * kValues))),
                    .labels = folder_.write("l", idx_bytes({kImages}, labels)),
                    .pack = {.out = folder_.path("out"), .val = 0}});
    data_ = open_image_dataset(folder_.path("out"));
  }
  [[nodiscard]] ImageLoaderOptions options() const {
    return {.seed = 5, .batch = 10, .mean = {0.25}, .std = {0.5}, .augment = {.shift = 2}};
  }
  std::vector<Copy> batches(const ImageLoaderOptions& options, int64_t count) {
    ImageLoader loader(*data_.train, options);
    std::vector<Copy> copies;
    for (int64_t i = 0; i < count; ++i) {
      const ImageBatch batch = loader.next();
      copies.push_back(
          {batch.first_sample, {batch.labels, batch.labels + batch.count}, {batch.pixels, batch.pixels + batch.count * kValues}});
    }
    return copies;
  }

  TestFolder folder_;
  ImageDataset data_;
};

TEST_F(Loader, AnEpochHoldsEveryImageOnceAndTheNextComesInAnotherOrder) {
  ImageLoaderOptions o = options();
  o.batch = kImages;
  const std::vector<Copy> epochs = batches(o, 3);
  for (const Copy& epoch : epochs) EXPECT_EQ(std::set<int64_t>(epoch.labels.begin(), epoch.labels.end()).size(), kImages);
  EXPECT_NE(epochs[0].labels, epochs[1].labels);
  EXPECT_NE(epochs[1].labels, epochs[2].labels);
  o.seed = 6;
  EXPECT_NE(batches(o, 1)[0].labels, epochs[0].labels);
}

TEST_F(Loader, WithoutShuffleEachImageComesOnceAndTheLastBatchIsSmaller) {
  ImageLoaderOptions o = options();
  o.order = ImageOrder::sequential;
  o.augment = {};
  const std::vector<Copy> copies = batches(o, 5);
  std::vector<int64_t> labels;
  for (const Copy& copy : copies) labels.insert(labels.end(), copy.labels.begin(), copy.labels.end());
  std::vector<int64_t> expected(kImages);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(labels, expected);
  EXPECT_EQ(copies[2].labels.size(), 3u);
  EXPECT_TRUE(copies[3].labels.empty() && copies[4].labels.empty());
}

TEST_F(Loader, ValuesAreNormalisedPixels) {
  ImageLoaderOptions o = options();
  o.augment = {};
  Image image;
  for (const Copy& copy : batches(o, 4))
    for (size_t row = 0; row < copy.labels.size(); ++row) {
      data_.train->read(copy.labels[row], image);
      for (size_t i = 0; i < kValues; ++i) ASSERT_NEAR(copy.pixels[row * kValues + i], (image.pixels[i] / 255.0 - 0.25) / 0.5, 1e-6);
    }
}

TEST_F(Loader, TheNumberOfWorkersChangesNothing) {
  ImageLoaderOptions o = options();
  const std::vector<Copy> one = batches(o, 20);
  for (const int64_t workers : {2, 3, 7}) {
    o.workers = workers;
    EXPECT_TRUE(batches(o, 20) == one) << workers;
  }
}

TEST_F(Loader, GoesOnExactlyFromAnySample) {
  ImageLoaderOptions o = options();
  const std::vector<Copy> whole = batches(o, 20);
  for (const int64_t done : {1, 3, 11}) {
    o.first_sample = done * o.batch;
    const std::vector<Copy> rest = batches(o, 20 - done);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + done)) << done;
  }
}

TEST_F(Loader, TheSizeOfABatchChangesNoSample) {
  ImageLoaderOptions o = options();
  const std::vector<Copy> tens = batches(o, 7);
  o.batch = 35;
  const std::vector<Copy> large = batches(o, 2);
  std::vector<float> a, b;
  for (const Copy& copy : tens) a.insert(a.end(), copy.pixels.begin(), copy.pixels.end());
  for (const Copy& copy : large) b.insert(b.end(), copy.pixels.begin(), copy.pixels.end());
  EXPECT_TRUE(a == b);
}

TEST_F(Loader, AnErrorReachesTheConsumerAtItsBatch) {
  ImageLoaderOptions o = options();
  o.order = ImageOrder::sequential;
  o.workers = 2;
  std::filesystem::resize_file(folder_.path("out/train.images"), 15 * kValues);
  ImageLoader loader(*data_.train, o);
  EXPECT_EQ(loader.next().count, 10);
  for (int i = 0; i < 2; ++i) expect_error(3, "changed while being read", [&] { loader.next(); });
}

TEST_F(Loader, CountsTheTimeThatTheConsumerWaited) {
  ImageLoader loader(*data_.train, options());
  loader.next();
  const double first = loader.waited_seconds();
  EXPECT_GE(first, 0);
  loader.next();
  EXPECT_GE(loader.waited_seconds(), first);
}

TEST_F(Loader, KnowsTheMemoryOfItsBatches) {
  constexpr double kRow = kValues * sizeof(float) + 2 * sizeof(int64_t), kOrder = kImages * sizeof(int32_t);
  ImageLoaderOptions o = options();
  EXPECT_EQ(ImageLoader::buffer_bytes(*data_.train, o), 3 * 10 * kRow + kOrder);
  o.view.image_size = 224;
  o.batch = int64_t{1} << 40;
  EXPECT_GT(ImageLoader::buffer_bytes(*data_.train, o), 0x1p40 * 3 * 4 * 224 * 224);
}

TEST_F(Loader, EndsWithoutBeingUsed) {
  for (int i = 0; i < 100; ++i) ImageLoader(*data_.train, options());
}

TEST_F(Loader, RefusesOptionsThatCannotBe) {
  const auto expect_refused = [&](std::string_view words, const std::function<void(ImageLoaderOptions&)>& change) {
    ImageLoaderOptions o = options();
    change(o);
    expect_error(2, words, [&] { ImageLoader(*data_.train, o); });
  };
  expect_refused("at least one image", [](ImageLoaderOptions& o) { o.batch = 0; });
  expect_refused("at least one worker", [](ImageLoaderOptions& o) { o.workers = 0; });
  expect_refused("counted from 0", [](ImageLoaderOptions& o) { o.first_sample = -1; });
  expect_refused("mean and std for 1 channels", [](ImageLoaderOptions& o) { o.mean = {1, 2, 3}; });
  expect_refused("std must be above 0", [](ImageLoaderOptions& o) { o.std = {0}; });
}

}  // namespace
}  // namespace aot
