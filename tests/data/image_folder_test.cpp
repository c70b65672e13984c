// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/data/image_dataset.h"
#include "aot/data/image_loader.h"
#include "aot/data/image_prepare.h"
#include "aot/data/resize.h"
#include "aot/data/view.h"
#include "tests/support/files.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

/// Soft stripes whose direction and colours follow from the seed.
Image picture(int64_t height, int64_t width, uint64_t seed) {
  Image image;
  image.reshape(height, width, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const auto y = static_cast<int64_t>(i) / (3 * width), x = static_cast<int64_t>(i) / 3 % width, c = static_cast<int64_t>(i % 3);
    image.pixels[i] =
        static_cast<uint8_t>((y * static_cast<int64_t>(seed % 3 + 1) + x * 2 + c * 40 + static_cast<int64_t>(seed) * 13) % 256);
  }
  return image;
}

class ImageFolder : public testing::Test {
 protected:
  void add(const std::string& name, const std::string& bytes) {
    fs::create_directories(fs::path(folder_.path("in/" + name)).parent_path());
    folder_.write("in/" + name, bytes);
  }
  void add_picture(const std::string& name, int64_t height, int64_t width, uint64_t seed) {
    add(name, encode_png(picture(height, width, seed)));
  }
  std::optional<ImageMeta> prepare(const FolderOptions& options = {}, double val = 0) {
    return prepare_images({.images = folder_.path("in"), .folder = options, .pack = {.out = folder_.path("out"), .val = val}});
  }
  ImageDataset open() { return open_image_dataset(folder_.path("out")); }

  TestFolder folder_;
};

TEST_F(ImageFolder, FilesArePackedAsTheyAreWithTheirClasses) {
  std::map<uint8_t, uint64_t> classes;  // by the first pixel
  for (uint64_t i = 0; i < 12; ++i) {
    const std::string name = i % 3 == 0 ? "b cat/x" : i % 3 == 1 ? "dog/deep/er" : "a";
    add_picture(name + "/" + std::to_string(i) + (i == 4 ? ".txt" : ".png"), 5 + static_cast<int64_t>(i), 30, i);
    classes[picture(1, 1, i).pixels[0]] = i;
  }
  add(".hidden/x.png", "no image");
  add("dog/.DS_Store", "no image");
  const ImageMeta meta = *prepare();
  EXPECT_EQ(meta.classes, (std::vector<std::string>{"a", "b cat", "dog"}));
  const ImageDataset data = open();
  ASSERT_EQ(data.train->size(), 12);
  EXPECT_EQ(data.train->height(), 0);
  std::vector<uint64_t> order;
  Image image;
  for (int64_t i = 0; i < 12; ++i) {
    data.train->read(i, image);
    const uint64_t which = classes.at(image.pixels[0]);
    order.push_back(which);
    EXPECT_EQ(image.pixels, picture(5 + static_cast<int64_t>(which), 30, which).pixels);
    EXPECT_EQ(data.train->size_of(i).height, 5 + static_cast<int64_t>(which));
    EXPECT_EQ(data.train->label(i), which % 3 == 0 ? 1 : which % 3 == 1 ? 2 : 0);
  }
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end())) << "drawn at random";
  std::sort(order.begin(), order.end());
  EXPECT_EQ(std::unique(order.begin(), order.end()), order.end());
  data.train->check_all();
}

TEST_F(ImageFolder, ThreadsChangeNothing) {
  for (uint64_t i = 0; i < 80; ++i) add_picture(std::to_string(i % 7) + "/" + std::to_string(i), 3 + static_cast<int64_t>(i) % 9, 7, i);
  const ImageMeta one = *prepare({.threads = 1}, .25);
  fs::remove_all(folder_.path("out"));
  const ImageMeta three = *prepare({.threads = 3}, .25);
  EXPECT_EQ(image_meta_text(one), image_meta_text(three));
  EXPECT_EQ(three.val->images, 20);
}

TEST_F(ImageFolder, FoldersOfTheirOwnForTrainingAndValidationAreKept) {
  for (uint64_t i = 0; i < 10; ++i) add_picture((i < 7 ? "train/" : "val/") + std::to_string(i % 2) + "/" + std::to_string(i), 4, 4, i);
  const ImageMeta meta = *prepare({}, .9);
  EXPECT_EQ(meta.train.images, 7);
  EXPECT_EQ(meta.val->images, 3);
  add_picture("val/other/x", 4, 4, 1);
  fs::remove_all(folder_.path("out"));
  expect_error(3, "class 'other' has no folder among the training images", [&] { prepare(); });
}

TEST_F(ImageFolder, WithASizePixelsArePacked) {
  add_picture("a/wide.png", 40, 90, 1);
  add_picture("a/high.png", 70, 30, 2);
  add_picture("b/small.png", 5, 5, 3);
  prepare({.size = 20});
  const ImageDataset data = open();
  EXPECT_EQ(data.height, 20);
  EXPECT_EQ(data.width, 20);
  std::vector<std::vector<uint8_t>> packed, expected;
  Image image;
  for (int64_t i = 0; i < 3; ++i) {
    data.train->read(i, image);
    packed.push_back(image.pixels);
  }
  for (const Image& original : {picture(40, 90, 1), picture(70, 30, 2), picture(5, 5, 3)}) {
    resize_and_crop(original, 20, 20, 20, image);
    expected.push_back(image.pixels);
  }
  const auto by_text = [](const auto& a, const auto& b) { return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end()); };
  std::sort(packed.begin(), packed.end(), by_text);
  std::sort(expected.begin(), expected.end(), by_text);
  EXPECT_TRUE(packed == expected);
}

TEST_F(ImageFolder, BadImagesStopOrAreCountedAndNamed) {
  for (uint64_t i = 0; i < 40; ++i) add_picture("a/" + std::to_string(i) + ".png", 4, 4, i);
  const std::string good = encode_png(picture(4, 4, 1));
  add("a/cut.png", good.substr(0, good.size() / 2));
  add("a/notes.txt", "not a picture");
  add("b/empty.jpg", "");
  add_picture("b/good", 4, 4, 50);
  const std::string line = error_of([&] { prepare(); });
  EXPECT_EQ(line.substr(0, 2), "3 ") << line;
  EXPECT_FALSE(fs::exists(folder_.path("out")));
  const ImageMeta meta = *prepare({.skip_bad = true, .threads = 2});
  EXPECT_EQ(meta.train.images, 41);
  EXPECT_EQ(meta.skipped, 3);
  ASSERT_EQ(meta.reasons.size(), 3u);
  std::string reasons;
  for (const std::string& reason : meta.reasons) reasons += reason + "\n";
  for (const char* words : {"cut.png: PNG: cut", "notes.txt: neither JPEG nor PNG", "empty.jpg: empty file"})
    EXPECT_NE(reasons.find(words), std::string::npos) << reasons;
  EXPECT_EQ(open().train->size(), 41);
}

TEST_F(ImageFolder, RefusesFoldersWithoutImages) {
  fs::create_directories(folder_.path("in"));
  expect_error(3, "has no folders", [&] { prepare(); });
  fs::create_directories(folder_.path("in/a"));
  expect_error(3, "has no images", [&] { prepare(); });
  add("a/x", "bad");
  add("a/y", "bad");
  expect_error(3, "none of the 2 images for train is good", [&] { prepare({.skip_bad = true}); });
  expect_error(3, "no such folder",
               [&] { prepare_images({.images = folder_.path("none"), .format = "folder", .pack = {.out = folder_.path("out")}}); });
}

TEST_F(ImageFolder, OptionsOfAnotherFormatAreRefused) {
  const auto refuse = [&](std::string_view words, ImagePrepareOptions options) {
    options.images = folder_.path("in");
    options.pack.out = folder_.path("out");
    expect_error(2, words, [&] { prepare_images(options); });
  };
  refuse("--labels", {.labels = "x", .format = "folder"});
  refuse("--size", {.format = "cifar10", .folder = {.size = 3}});
  refuse("--skip-bad", {.format = "idx", .folder = {.skip_bad = true}});
}

TEST_F(ImageFolder, ChangedSizesAreNoticed) {
  for (uint64_t i = 0; i < 3; ++i) add_picture("a/" + std::to_string(i), 4, 4, i);
  prepare();
  const std::string sizes = folder_.read("out/train.sizes");
  folder_.write("out/train.sizes", sizes.substr(8));
  expect_error(3, "meta.json says 3 images", [&] { open(); });
  std::string other = sizes;
  other[0] = static_cast<char>(other[0] + 1);
  folder_.write("out/train.sizes", other);
  expect_error(3, "bytes, file has", [&] { open(); });
  other = sizes;
  other[4] = other[5] = 0;
  folder_.write("out/train.sizes", other);
  expect_error(3, "record 0: an image of 0 x 4", [&] { open(); });
  other = sizes;
  other[4] = 99;  // a height that is not the file's: no crash, and noticed by the digest
  folder_.write("out/train.sizes", other);
  const ImageDataset data = open();
  Image image, scratch;
  read_part(*data.train, 0, {0, 0, 99, 4}, 8, 8, image, scratch);
  expect_error(3, "digest mismatch", [&] { data.train->check_all(); });
}

TEST_F(ImageFolder, ALoaderGivesTheMiddleOrARandomPart) {
  for (uint64_t i = 0; i < 9; ++i) add_picture("a/" + std::to_string(i), 40 + static_cast<int64_t>(i), 60, i);
  prepare();
  const ImageDataset data = open();
  ImageLoaderOptions options = {.order = ImageOrder::sequential, .batch = 4, .mean = {0, 0, 0}, .std = {1, 1, 1}};
  expect_error(2, "need --image-size", [&] { ImageLoader(*data.train, options); });
  options.view = {.image_size = 16, .resize = 12};
  expect_error(2, "--resize", [&] { ImageLoader(*data.train, options); });
  options.view.resize = 20;
  Image image, middle;
  {
    ImageLoader loader(*data.train, options);
    const ImageBatch batch = loader.next();
    for (int64_t i = 0; i < 4; ++i) {
      data.train->read(i, image);
      resize_and_crop(image, 20, 16, 16, middle);
      for (int64_t p = 0; p < 256; ++p)
        for (int64_t c = 0; c < 3; ++c)
          ASSERT_NEAR(batch.pixels[(i * 3 + c) * 256 + p] * 255, middle.pixels[static_cast<size_t>(p * 3 + c)], 1e-3);
    }
  }
  options.order = ImageOrder::shuffled;
  options.augment = {.crop_scale = .1, .flip = .5, .randaugment = 2, .erase = .5, .mixup = .2, .cutmix = 1};
  const auto batches = [&](int64_t first, int64_t count, int64_t workers) {
    options.first_sample = first * options.batch;
    options.workers = workers;
    ImageLoader loader(*data.train, options);
    std::vector<std::vector<float>> all;
    for (int64_t i = 0; i < count; ++i) {
      const ImageBatch batch = loader.next();
      all.emplace_back(batch.pixels, batch.pixels + batch.count * 3 * 256);
      all.back().push_back(static_cast<float>(batch.weight));
      for (int64_t row = 0; row < batch.count; ++row) EXPECT_EQ(batch.other_labels[row], batch.labels[batch.count - 1 - row]);
    }
    return all;
  };
  const auto whole = batches(0, 12, 1);
  EXPECT_TRUE(batches(0, 12, 4) == whole) << "the number of workers changes nothing";
  EXPECT_TRUE(batches(5, 7, 2) == std::vector(whole.begin() + 5, whole.end())) << "going on is exact";
}

TEST(View, AJpegIsDecodedNoLargerThanNeeded) {
  EXPECT_EQ(shrink_for({0, 0, 2000, 3000}, 224, 224), 8);
  EXPECT_EQ(shrink_for({0, 0, 1792, 1792}, 224, 224), 8);
  EXPECT_EQ(shrink_for({0, 0, 1791, 1792}, 224, 224), 4);
  EXPECT_EQ(shrink_for({10, 10, 447, 3000}, 224, 224), 1);
  EXPECT_EQ(shrink_for({0, 0, 1, 1}, 224, 224), 1);
}

}  // namespace
}  // namespace aot
