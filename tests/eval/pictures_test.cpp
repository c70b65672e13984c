// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/pictures.h"

#include <cmath>
#include <csignal>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/core/signals.h"
#include "aot/data/view.h"
#include "tests/support/pictures.h"

namespace aot {
namespace {

VisionOptions small(int64_t size, int64_t classes = 10, int64_t channels = 1) {
  return {.width = 12, .layers = 2, .heads = 3, .image_size = size, .channels = channels, .classes = classes, .patch = size / 4};
}

PictureReading reading_of(const ImageDataset& data, int64_t batch = 7) {
  return {.mean = data.mean, .std = data.std, .batch = batch, .workers = 2};
}

/// What the model should see of one picture, the plain way: (1, C, S, S).
at::Tensor seen(const ImageSplit& split, const ImageDataset& data, int64_t index, int64_t shorter, int64_t side) {
  Image image, scratch;
  read_middle(split, index, shorter, side, image, scratch);
  at::Tensor out = at::from_blob(image.pixels.data(), {side, side, image.channels}, at::kByte).permute({2, 0, 1}).to(at::kDouble) / 255;
  for (int64_t c = 0; c < image.channels; ++c) out[c].sub_(data.mean[static_cast<size_t>(c)]).div_(data.std[static_cast<size_t>(c)]);
  return out.to(at::kFloat).unsqueeze(0);
}

TEST(PictureCount, RanksByHand) {
  PictureCount counted;
  // Seven classes; the label's place among the scores: first, third, last, and sixth.
  const at::Tensor scores = at::tensor({9., 1., 2., 3., 4., 5., 6.,  //
                                        5., 9., 7., 1., 1., 1., 1.,  //
                                        1., 2., 3., 4., 5., 6., 0.,  //
                                        1., 2., 3., 4., 5., 6., 7.})
                                .view({4, 7});
  counted.add(scores, at::tensor({0, 0, 6, 1}, at::kLong), at::tensor({1., 2., 3., 4.}));
  const PictureScore score = counted.score();
  EXPECT_EQ(score.count, 4);
  EXPECT_DOUBLE_EQ(score.top1, .25);
  EXPECT_DOUBLE_EQ(*score.top5, .5);
  EXPECT_DOUBLE_EQ(*score.loss, 2.5);
  EXPECT_DOUBLE_EQ(*score.standard_error, std::sqrt(.25 * .75 / 3));
}

TEST(PictureCount, ScoresThatAreAllEqualAreRightAboutOneClass) {
  PictureCount counted;
  counted.add(at::zeros({3, 3}), at::tensor({0, 1, 2}, at::kLong));
  EXPECT_DOUBLE_EQ(counted.score().top1, 1 / 3.0);
  EXPECT_FALSE(counted.score().top5.has_value());
  EXPECT_FALSE(counted.score().loss.has_value());
  expect_error(1, "non-finite", [&] { counted.add(at::full({1, 3}, NAN), at::tensor({0}, at::kLong)); });
}

TEST(ScorePictures, EqualsOneByOne) {
  // 28 x 28 as they are; resized to 16; 24 pixels first and the middle cut out.
  const DrawnPictures pictures(drawn_digits(30, 28, 1), 20);
  for (const auto& [size, resize] : {std::pair<int64_t, int64_t>{28, 0}, {16, 0}, {16, 24}}) {
    const VisionModel model(small(size), 1);
    double loss = 0;
    int64_t right = 0, five = 0;
    {
      const c10::NoGradGuard guard;
      for (int64_t i = 0; i < 20; ++i) {
        const at::Tensor logits = model.logits(seen(*pictures.data.val, pictures.data, i, std::max(size, resize), size))[0].to(at::kDouble);
        const int64_t label = pictures.data.val->label(i), better = logits.gt(logits[label]).sum().item<int64_t>();
        loss -= at::log_softmax(logits, 0)[label].item<double>() / 20;
        right += better == 0;
        five += better < 5;
      }
    }
    PictureReading reading = reading_of(pictures.data);
    reading.resize = resize;
    const PictureScore score = score_pictures(model, *pictures.data.val, reading).value();
    EXPECT_EQ(score.count, 20);
    EXPECT_NEAR(*score.loss, loss, 1e-5) << size;
    EXPECT_DOUBLE_EQ(score.top1, static_cast<double>(right) / 20) << size;
    EXPECT_DOUBLE_EQ(*score.top5, static_cast<double>(five) / 20) << size;
  }
}

TEST(ScorePictures, BatchesAndWorkersChangeNothingAndALimitTakesTheFirst) {
  const DrawnPictures pictures(drawn_digits(30, 28, 1), 20);
  const VisionModel model(small(28), 1);
  const PictureScore whole = score_pictures(model, *pictures.data.val, reading_of(pictures.data, 64)).value();
  for (const int64_t batch : {1, 7, 20}) {
    const PictureScore score = score_pictures(model, *pictures.data.val, reading_of(pictures.data, batch)).value();
    EXPECT_NEAR(*score.loss, *whole.loss, 1e-6);
    EXPECT_EQ(score.top1, whole.top1);
  }
  PictureReading few = reading_of(pictures.data);
  few.limit = 9;
  double loss = 0;
  for (int64_t i = 0; i < 9; ++i) {
    const c10::NoGradGuard guard;
    const at::Tensor logits = model.logits(seen(*pictures.data.val, pictures.data, i, 28, 28))[0].to(at::kDouble);
    loss -= at::log_softmax(logits, 0)[pictures.data.val->label(i)].item<double>() / 9;
  }
  const PictureScore score = score_pictures(model, *pictures.data.val, few).value();
  EXPECT_EQ(score.count, 9);
  EXPECT_NEAR(*score.loss, loss, 1e-5);
}

TEST(ScorePictures, RefusesWhatDoesNotFit) {
  const DrawnPictures pictures(drawn_digits(12, 28, 1), 12 - 2);
  const ImageSplit& val = *pictures.data.val;
  PictureReading reading = reading_of(pictures.data);
  expect_error(3, "channels, the model reads 3", [&] { score_pictures(VisionModel(small(28, 10, 3), 1), val, reading); });
  expect_error(3, "the model knows 1 classes", [&] { score_pictures(VisionModel(small(28, 1), 1), val, reading); });
  reading.resize = 20;
  expect_error(2, "--resize 20 is below", [&] { score_pictures(VisionModel(small(28), 1), val, reading); });
}

TEST(ScorePictures, ASignalStopsIt) {
  const DrawnPictures pictures(drawn_digits(12, 28, 1), 10);
  const VisionModel model(small(28), 1);
  catch_stop_signals();
  std::raise(SIGTERM);
  EXPECT_FALSE(score_pictures(model, *pictures.data.val, reading_of(pictures.data)).has_value());
  EXPECT_FALSE(picture_features(model, *pictures.data.val, reading_of(pictures.data)).features.defined());
  forget_stop_signal();
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
}

TEST(PictureFeatures, AreThoseOfTheModelInOrder) {
  const DrawnPictures pictures(drawn_digits(30, 28, 1), 20);
  const VisionModel model(small(28), 1);
  const PictureFeatures all = picture_features(model, *pictures.data.val, reading_of(pictures.data));
  const c10::NoGradGuard guard;
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(all.labels[i].item<int64_t>(), pictures.data.val->label(i));
    const at::Tensor alone = model.features(seen(*pictures.data.val, pictures.data, i, 28, 28))[0];
    EXPECT_LT((all.features[i] - alone).abs().max().item<double>(), 1e-5);
  }
}

}  // namespace
}  // namespace aot
