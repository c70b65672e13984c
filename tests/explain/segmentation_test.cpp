// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/segmentation.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/explain/heat_maps.h"
#include "tests/support/pictures.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

VisionOptions small(const std::string& mixer = "mssa") {
  return {.mixer = mixer, .width = 12, .layers = 2, .heads = 3, .image_size = 32, .channels = 3, .classes = 8, .patch = 4};
}

PictureReading reading_of(const ImageDataset& data) {
  return {.mean = data.mean, .std = data.std, .batch = 7, .workers = 2};
}

TEST(MaskFits, ByHand) {
  // Two pictures of 2 x 2, two heads; thresholds .5 and .9.
  const at::Tensor maps = at::tensor({1., .6, .1, .0, .0, .0, .0, .0,  //
                                      .0, .9, .5, .4, 1., 1., 1., 1.})
                              .view({2, 2, 2, 2});
  const at::Tensor masks = at::tensor({1., 0., 1., 0., 0., 1., 0., 0.}).view({2, 2, 2});
  const MaskFits fits = mask_fits(maps, masks, at::tensor({.5, .9}));
  const at::Tensor iou = at::tensor({1 / 3., 1 / 2., 0., 0., 1 / 2., 1., 1 / 4., 1 / 4.}).view({2, 2, 2});
  const at::Tensor accuracy = at::tensor({2 / 4., 3 / 4., 2 / 4., 2 / 4., 3 / 4., 1., 1 / 4., 1 / 4.}).view({2, 2, 2});
  EXPECT_LT(test::max_difference(fits.iou, iou), 1e-12);
  EXPECT_LT(test::max_difference(fits.accuracy, accuracy), 1e-12);
}

TEST(Segmentation, OneHeadThatKnowsTheObjectIsFoundAndItsControlsAreNot) {
  // A model made by hand: white squares on black; the class token of head 2 in layer 1 reads bright patches.
  class Squares final : public ImageSource {
   public:
    [[nodiscard]] int64_t size() const override { return 40; }
    bool next(LabelledImage& into) override {
      into.image.reshape(32, 32, 1);
      into.mask.assign(32 * 32, 0);
      std::fill(into.image.pixels.begin(), into.image.pixels.end(), uint8_t{0});
      const auto top = static_cast<int64_t>(4 * random_.below(6)), left = static_cast<int64_t>(4 * random_.below(6));
      for (int64_t y = top; y < top + 12; ++y)
        for (int64_t x = left; x < left + 12; ++x) {
          into.image.pixels[static_cast<size_t>(y * 32 + x)] = 255;
          into.mask[static_cast<size_t>(y * 32 + x)] = 1;
        }
      return true;
    }

   private:
    Random random_{1};
  };
  ImageSources sources;
  sources.train = std::make_unique<Squares>();
  sources.classes = {"square"};
  const DrawnPictures pictures(sources, 30);

  VisionOptions options = small();
  options.channels = options.classes = 1;
  options.norm = NormKind::none;
  options.position = PicturePosition::none;
  const VisionModel model(options, 1);
  {
    const c10::NoGradGuard guard;
    for (const Parameter& parameter : model.parameters()) at::Tensor value = at::Tensor(parameter.value).zero_();
    for (const Parameter& parameter : model.parameters()) {
      at::Tensor value = parameter.value;
      if (parameter.name == "patch") value[0].fill_(1 / 16.);          // brightness in the first number of a token
      if (parameter.name == "class_token") value[0].fill_(3);          // a bright token itself
      if (parameter.name == "layers.0.mixer.u") value[4][0].fill_(2);  // the first row of head 2
    }
  }
  const SegmentationScore score = score_segmentation(model, *pictures.data.val, reading_of(pictures.data), 1).value();
  EXPECT_EQ(score.chosen_on, 15);
  EXPECT_EQ(score.count, 15);
  EXPECT_EQ(score.best.layer, 0);
  EXPECT_EQ(score.best.head, 1);
  EXPECT_GT(score.best.iou, .85);
  EXPECT_GT(score.best.accuracy, .95);
  EXPECT_LT(*score.best.iou_error, .05);
  EXPECT_LT(score.permuted_heads.iou, .6);
  EXPECT_NEAR(score.whole_picture.iou, 144 / 1024., 1e-6);
  EXPECT_NEAR(score.whole_picture.accuracy, 144 / 1024., 1e-6);
}

TEST(Segmentation, IsAFunctionOfTheSeedAndOfNoBatch) {
  const DrawnPictures pictures(drawn_shapes(24, 32, 1), 20);
  const VisionModel model(small("mhsa"), 1);
  PictureReading reading = reading_of(pictures.data);
  const SegmentationScore once = score_segmentation(model, *pictures.data.val, reading, 3).value();
  reading.batch = 20;
  const SegmentationScore again = score_segmentation(model, *pictures.data.val, reading, 3).value();
  EXPECT_NEAR(once.best.iou, again.best.iou, 1e-6);
  EXPECT_NEAR(once.permuted_heads.iou, again.permuted_heads.iou, 1e-6);
  EXPECT_NEAR(once.random_projections.iou, again.random_projections.iou, 1e-6);
  EXPECT_GE(once.best.iou, 0);
}

TEST(Segmentation, RandomProjectionsHaveTheSizeOfTheTrainedAndNothingElseChanges) {
  const VisionModel model(small("mhsa"), 1), random = with_random_projections(model, 5);
  const Parameters from = model.parameters(), to = random.parameters();
  for (size_t i = 0; i < from.size(); ++i) {
    const at::Tensor a = from[i].value.detach(), b = to[i].value.detach();
    if (!from[i].name.ends_with("w_qkv")) {
      EXPECT_TRUE(at::equal(a, b)) << from[i].name;
      continue;
    }
    EXPECT_NEAR(a.norm().item<double>(), b.norm().item<double>(), 1e-4);
    EXPECT_GT(test::max_difference(a, b), .01);
  }
}

TEST(Segmentation, RefusesWhatCannotBe) {
  const DrawnPictures shapes(drawn_shapes(4, 32, 1), 1), digits(drawn_digits(4, 32, 1), 2);
  const VisionModel model(small(), 1);
  VisionOptions grey = small();
  grey.channels = 1;
  expect_error(3, "need at least 2 pictures", [&] { score_segmentation(model, *shapes.data.val, reading_of(shapes.data), 1); });
  expect_error(3, "no masks", [&] { score_segmentation(VisionModel(grey, 1), *digits.data.val, reading_of(digits.data), 1); });
  expect_error(2, "mixes by tssa",
               [&] { score_segmentation(VisionModel(small("tssa"), 1), *shapes.data.val, reading_of(shapes.data), 1); });
}

TEST(HeatMaps, SheetsHaveARowForEachPictureAndAColumnForEachHead) {
  const DrawnPictures pictures(drawn_shapes(8, 32, 1), 5);
  const VisionModel model(small(), 1);
  for (const Parameter& parameter : model.parameters())  // equal projections: every token reads all alike
    if (parameter.name.ends_with("mixer.u")) parameter.value.detach().zero_();
  PictureReading reading = reading_of(pictures.data);
  reading.limit = 3;
  const HeatMaps all = draw_heat_maps(model, *pictures.data.val, reading, -1).value();
  ASSERT_EQ(all.layers.size(), 2u);
  for (const HeatMapLayer& layer : all.layers) {
    EXPECT_EQ(layer.sheet.height, 3 * 98 - 2);
    EXPECT_EQ(layer.sheet.width, 5 * 98 - 2);  // the picture, three heads, their mean
    EXPECT_EQ(layer.gain.size(), 3u);
    for (const double gain : layer.gain) EXPECT_NEAR(gain, 1, 1e-5) << "who looks everywhere looks at the object as at all else";
  }
  const HeatMaps second = draw_heat_maps(model, *pictures.data.val, reading, 1).value();
  ASSERT_EQ(second.layers.size(), 1u);
  EXPECT_EQ(second.layers[0].sheet.pixels, all.layers[1].sheet.pixels);
  expect_error(2, "the model has 2 layers", [&] { draw_heat_maps(model, *pictures.data.val, reading, 2); });
}

TEST(HeatMaps, ThePageIsWholeAndEscapesItsTitle) {
  HeatMaps maps{.title = "<run>", .options = small(), .images = 1, .layers = {{.layer = 4, .gain = {1, 2, 3}}}};
  const std::string text = html(maps, {"PNG!"});
  EXPECT_NE(text.find("&lt;run&gt;"), std::string::npos);
  EXPECT_EQ(text.find("<run>"), std::string::npos);
  EXPECT_NE(text.find("Layer 5"), std::string::npos);
  EXPECT_NE(text.find("base64,UE5HIQ=="), std::string::npos);
  EXPECT_EQ(text.find("http"), std::string::npos);
}

TEST(Overlay, IsDarkWhereTheMapIsNothingAndBrightWhereItIsOne) {
  Image picture;
  picture.reshape(1, 2, 1);
  picture.pixels = {100, 100};
  const Image out = overlay(picture, at::tensor({0.F, 1.F}).view({1, 2}));
  EXPECT_EQ(out.channels, 3);
  EXPECT_EQ(out.pixels, (std::vector<uint8_t>{52, 47, 71, 191, 193, 138}));
}

}  // namespace
}  // namespace aot
