// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <gtest/gtest.h>

#include "aot/data/image_dataset.h"
#include "aot/data/image_prepare.h"
#include "tests/data/random_bytes.h"
#include "tests/support/files.h"

namespace aot {
namespace {

constexpr int64_t kPixels = 3072;

/// Records of random pixels behind the labels given, `label_bytes` each.
std::string records(uint64_t seed, const std::vector<int>& labels, int label_bytes = 1) {
  std::string bytes;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (label_bytes == 2) bytes += '\7';
    bytes += static_cast<char>(labels[i]);
    bytes += random_bytes(seed + i, kPixels);
  }
  return bytes;
}

class Cifar : public testing::Test {
 protected:
  ImageMeta prepare(const std::string& images, const std::string& format = "cifar10", double val = 0) {
    std::filesystem::remove_all(folder_.path("out"));
    return prepare_images({.images = images, .format = format, .pack = {.out = folder_.path("out"), .val = val}}).value();
  }
  void expect_refused(std::string_view words, const std::string& bytes, const std::string& format = "cifar10") {
    expect_error(3, words, [&] { prepare(folder_.write("x.bin", bytes), format); });
  }
  TestFolder folder_;
};

TEST_F(Cifar, PlanesBecomePixels) {
  for (const int label_bytes : {1, 2}) {
    const std::string bytes = records(1, {3, 9, 0}, label_bytes);
    prepare(folder_.write("x.bin", bytes), label_bytes == 1 ? "cifar10" : "cifar100");
    const ImageDataset data = open_image_dataset(folder_.path("out"));
    ASSERT_EQ(data.train->size(), 3);
    EXPECT_EQ(data.classes.size(), label_bytes == 1 ? 10u : 100u);
    Image image;
    for (int64_t i = 0; i < 3; ++i) {
      data.train->read(i, image);
      EXPECT_EQ(data.train->label(i), (std::array{3, 9, 0}[static_cast<size_t>(i)]));
      const std::string planes = bytes.substr(static_cast<size_t>(i * (kPixels + label_bytes) + label_bytes), kPixels);
      for (size_t p = 0; p < 1024; ++p)
        for (size_t c = 0; c < 3; ++c) ASSERT_EQ(image.pixels[3 * p + c], static_cast<uint8_t>(planes[c * 1024 + p]));
    }
  }
}

TEST_F(Cifar, AFolderHasItsTestFileForValidationAndNames) {
  std::filesystem::create_directory(folder_.path("in"));
  for (int batch = 1; batch <= 5; ++batch)
    folder_.write("in/data_batch_" + std::to_string(batch) + ".bin",
                  records(static_cast<uint64_t>(batch), std::vector<int>(static_cast<size_t>(batch), batch)));
  expect_error(3, "test_batch.bin: no such file", [&] { prepare(folder_.path("in")); });
  folder_.write("in/test_batch.bin", records(9, {1, 2}));
  EXPECT_EQ(prepare(folder_.path("in")).train.images, 15);
  const ImageDataset data = open_image_dataset(folder_.path("out"));
  EXPECT_EQ(data.val->size(), 2);
  EXPECT_EQ(data.train->label(14), 5);
  EXPECT_EQ(data.classes[3], "3");
  folder_.write("in/batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  EXPECT_EQ(prepare(folder_.path("in")).classes[3], "cat");
  folder_.write("in/batches.meta.txt", "airplane\n");
  expect_error(3, "has 1 names, need 10", [&] { prepare(folder_.path("in")); });
}

TEST_F(Cifar, RefusesWhatIsNoCifar) {
  expect_refused("empty file", "");
  expect_refused("record 2: label 10 of 10 classes", records(1, {0, 9, 10}));
  expect_refused("record 0: label 100 of 100 classes", records(1, {100}, 2), "cifar100");
  expect_refused("3074-byte records: CIFAR-100?", records(1, {1, 2}, 2));
  expect_refused("3073-byte records: CIFAR-10?", records(1, {1, 2}), "cifar100");
  expect_refused("no whole number of 3073-byte records", records(1, {1, 2}).substr(1));
  expect_refused("use the binary version", "\x80\x04\x95" + std::string(5000, 'x'));
  expect_refused("looks like gzip", "\x1f\x8b" + std::string(5000, 'x'));
}

}  // namespace
}  // namespace aot
