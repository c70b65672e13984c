// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_dataset.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "aot/data/image_prepare.h"
#include "tests/data/random_bytes.h"
#include "tests/support/files.h"
#include "tests/support/idx.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

class Images : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<int64_t>& shape, const std::string& data) {
    return folder_.write(name, idx_bytes(shape, data));
  }
  ImageMeta prepare(const std::string& images, const std::string& labels, double val = 0.1, int64_t val_count = -1) {
    return prepare_images({.images = images, .labels = labels, .pack = {.out = out(), .val = val, .val_count = val_count}}).value();
  }
  void expect_refused(int code, std::string_view words, const std::string& images, const std::string& labels, double val = 0.1) {
    expect_error(code, words, [&] { prepare(images, labels, val); });
    EXPECT_FALSE(fs::exists(out())) << "nothing is written";
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_.path()))
      EXPECT_NE(entry.path().filename().string().rfind(".tmp-", 0), 0u) << entry.path();
  }
  [[nodiscard]] std::string out() const { return folder_.path("out"); }

  TestFolder folder_;
};

TEST_F(Images, TheLastAreForValidation) {
  const std::string pixels = random_bytes(1, 10 * 3 * 5), labels = random_bytes(2, 10, 7);
  prepare(write("i", {10, 3, 5}, pixels), write("l", {10}, labels), 0.1, 3);
  const ImageDataset data = open_image_dataset(out());
  ASSERT_EQ(data.train->size(), 7);
  ASSERT_EQ(data.val->size(), 3);
  Image image;
  for (int64_t i = 0; i < 10; ++i) {
    const ImageSplit& split = i < 7 ? *data.train : *data.val;
    split.read(i < 7 ? i : i - 7, image);
    EXPECT_EQ(split.label(i < 7 ? i : i - 7), labels[static_cast<size_t>(i)]);
    EXPECT_EQ((std::vector<int64_t>{image.height, image.width, image.channels}), (std::vector<int64_t>{3, 5, 1}));
    EXPECT_EQ(std::string(image.pixels.begin(), image.pixels.end()), pixels.substr(static_cast<size_t>(i) * 15, 15));
  }
  EXPECT_EQ(data.classes.back(), std::to_string(*std::max_element(labels.begin(), labels.end())));
  data.train->check_all();
  data.val->check_all();
}

TEST_F(Images, AShareForValidationIsRoundedUpAndNoneIsPossible) {
  const std::string images = write("i", {11, 1, 1}, std::string(11, 'a')), labels = write("l", {11}, std::string(11, '\0'));
  EXPECT_EQ(prepare(images, labels).val->images, 2);
  fs::remove_all(out());
  EXPECT_FALSE(prepare(images, labels, 0).val);
  EXPECT_EQ(open_image_dataset(out()).val, nullptr);
  EXPECT_FALSE(fs::exists(out() + "/val.images"));
}

TEST_F(Images, MeanAndDeviationAreThoseOfTheTrainingImages) {
  std::string pixels;  // three channels: constant, 0 and 255 in turns, the last image (validation) all 255
  for (int i = 0; i < 4; ++i)
    pixels += {static_cast<char>(51), static_cast<char>(i % 2 == 0 ? 0 : 255), static_cast<char>(i < 2 ? 0 : 102)};
  prepare(write("i", {5, 1, 1, 3}, pixels + "\xff\xff\xff"), write("l", {5}, std::string(5, '\0')), 0, 1);
  const ImageDataset data = open_image_dataset(out());
  EXPECT_EQ(data.channels, 3);
  const std::vector<double> mean = {0.2, 0.5, 0.2}, deviation = {1, 0.5, 0.2};
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(data.mean[c], mean[c], 1e-12);
    EXPECT_NEAR(data.std[c], deviation[c], 1e-12);
  }
}

TEST_F(Images, ValidationMayHaveFilesOfItsOwn) {
  const std::string images = write("i", {4, 2, 2}, std::string(16, 'a')), labels = write("l", {4}, std::string("\0\1\0\1", 4));
  const std::string val_images = write("vi", {3, 2, 2}, "bbbbccccdddd"), val_labels = write("vl", {3}, std::string("\2\0\1", 3));
  const auto prepare_both = [&](const std::string& of, const std::string& labels_of) {
    return prepare_images({.images = images, .labels = labels, .val_images = of, .val_labels = labels_of, .pack = {.out = out()}}).value();
  };
  const ImageMeta meta = prepare_both(val_images, val_labels);
  EXPECT_EQ(meta.train.images, 4);
  EXPECT_EQ(meta.val->images, 3);
  EXPECT_EQ(meta.classes.size(), 3);
  EXPECT_EQ(folder_.read("out/val.images"), "bbbbccccdddd");
  fs::remove_all(out());
  expect_error(2, "go together", [&] { static_cast<void>(prepare_both(val_images, "")); });
  expect_error(3, "3 images, 4 labels", [&] { static_cast<void>(prepare_both(val_images, labels)); });
  const std::string wide = write("wide", {1, 2, 3}, "bbbbbb"), one = write("one", {1}, "\1");
  expect_error(3, "images for validation are 2 x 3 x 1, those to train on 2 x 2 x 1", [&] { static_cast<void>(prepare_both(wide, one)); });
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(Images, RefusesFilesThatDoNotFitEachOther) {
  const std::string images = write("i", {4, 2, 2}, std::string(16, 'a')), labels = write("l", {4}, std::string(4, '\1'));
  expect_refused(3, "4 images, 3 labels", images, write("l3", {3}, "abc"));
  expect_refused(3, "labels need 1 dimension", images, images);
  expect_refused(3, "are these the labels?", labels, labels);
  expect_refused(3, "images need 3 dimensions", write("i2", {4, 2, 1, 2}, std::string(16, 'a')), labels);
  expect_refused(3, "larger than", write("wide", {1, 1, 20'000}, std::string(20'000, 'a')), write("l1", {1}, "a"));
  expect_refused(3, "need at least one on each side", images, labels, 0.9);
  expect_refused(3, "no such file", images, folder_.path("none"));
  expect_refused(2, "--labels", images, "");
  expect_refused(2, "--val", images, labels, 1);
}

TEST_F(Images, ChangesBehindOurBackAreNoticed) {
  prepare(write("i", {4, 2, 2}, std::string(16, 'a')), write("l", {4}, std::string("\0\1\0\1", 4)), 0, 1);
  const std::string pixels = folder_.read("out/train.images"), labels = folder_.read("out/train.labels"),
                    meta = folder_.read("out/meta.json");
  const auto expect_noticed = [&](std::string_view words, const std::string& name, const std::string& bytes) {
    const std::string before = folder_.read("out/" + name);
    folder_.write("out/" + name, bytes);
    expect_error(3, words, [&] { open_image_dataset(out()).train->check_all(); });
    folder_.write("out/" + name, before);
  };
  expect_noticed("digest mismatch", "train.images", "b" + pixels.substr(1));
  expect_noticed("meta.json says 3 images, file has 2 and a part of one", "train.images", pixels.substr(1));
  expect_noticed("meta.json says 3 images, file has 4", "train.images", pixels + "aaaa");
  expect_noticed("digest mismatch", "train.labels", "\1" + labels.substr(1));
  expect_noticed("record 0: label 2 of 2 classes", "train.labels", "\2" + labels.substr(1));
  expect_noticed("not valid JSON", "meta.json", meta.substr(0, 20));
  open_image_dataset(out()).train->check_all();
}

TEST_F(Images, MetaIsReadStrictly) {
  prepare(write("i", {4, 2, 2}, std::string(16, 'a')), write("l", {4}, std::string("\0\1\0\1", 4)), 0, 1);
  const std::string meta = folder_.read("out/meta.json");
  const auto expect_bad = [&](std::string_view words, const std::string& from, const std::string& to) {
    std::string text = meta;
    ASSERT_NE(text.find(from), std::string::npos);
    text.replace(text.find(from), from.size(), to);
    folder_.write("out/meta.json", text);
    expect_error(3, words, [&] { open_image_dataset(out()); });
  };
  expect_bad("newer than this program", "\"format\": 1", "\"format\": 2");
  expect_bad("key 'kind'", "\"images\"", "\"texts\"");
  expect_bad("key 'height'", "\"height\": 2", "\"height\": 0");
  expect_bad("key 'height'", "\"height\": 2", "\"height\": 16385");
  expect_bad("key 'channels'", "\"channels\": 1", "\"channels\": 2");
  expect_bad("key 'classes'", "\"classes\": [", "\"classes\": [], \"x\": [");
  expect_bad("key 'std'", "\"std\": [", "\"std\": [0.5, ");
  expect_bad("key 'images'", "\"images\": 3", "\"images\": 0");
  expect_bad("key 'pixels_sha256'", "\"pixels_sha256\": \"", "\"pixels_sha256\": \"x");
  expect_error(3, "no such folder", [&] { open_image_dataset(folder_.path("none")); });
  expect_error(3, "aot data prepare --images", [&] { open_image_dataset(folder_.path()); });
}

}  // namespace
}  // namespace aot
