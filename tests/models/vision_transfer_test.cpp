// SPDX-License-Identifier: Apache-2.0
#include "aot/models/vision_transfer.h"

#include <cmath>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/models/checkpoint.h"
#include "tests/support/files.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

VisionOptions small() {
  return {.width = 12, .layers = 2, .heads = 3, .image_size = 6, .channels = 2, .classes = 5, .patch = 2};
}

class VisionTransfer : public testing::Test {
 protected:
  std::string save(const VisionOptions& options) {
    const VisionModel model(options, 1);
    AtomicFolder folder(folder_.path(), "model");
    save_model(folder, model);
    folder.commit({});
    return folder_.path("model");
  }
  TestFolder folder_;
};

at::Tensor weight(const VisionModel& model, const std::string& name) {
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == name) return parameter.value.detach();
  return {};
}

TEST_F(VisionTransfer, TheSameModelIsTheSame) {
  const std::string checkpoint = save(small());
  const VisionModel model(small(), 2);
  const TransferredWeights done = load_for_finetuning(checkpoint, model);
  EXPECT_EQ(done.taken.size(), model.parameters().size());
  EXPECT_TRUE(done.interpolated.empty() && done.fresh.empty());
  for (const Parameter& parameter : load_vision_model(checkpoint)->parameters())
    EXPECT_TRUE(at::equal(weight(model, parameter.name), parameter.value.detach())) << parameter.name;
}

TEST_F(VisionTransfer, OtherClassesGetANewHeadAndTheFeaturesStay) {
  const std::string checkpoint = save(small());
  VisionOptions options = small();
  options.classes = 7;
  const VisionModel model(options, 2), drawn(options, 2);
  const TransferredWeights done = load_for_finetuning(checkpoint, model);
  EXPECT_EQ(done.fresh, (std::vector<std::string>{"head", "head_bias"}));
  EXPECT_EQ(done.text(), str("took ", model.parameters().size() - 2, " tensors, drew head, head_bias anew"));
  EXPECT_TRUE(at::equal(weight(model, "head"), weight(drawn, "head")));
  const c10::NoGradGuard no_grad;
  const at::Tensor images = test::normal({3, 2, 6, 6}, 1, at::kFloat);
  EXPECT_TRUE(at::equal(model.features(images), load_vision_model(checkpoint)->features(images)));
}

TEST_F(VisionTransfer, OtherSizesInterpolateLearntPositionsAndKeepThatOfTheClassToken) {
  for (const Pooling pooling : {Pooling::class_token, Pooling::mean}) {
    VisionOptions options = small();
    options.pooling = pooling;
    const std::string checkpoint = save(options);
    const at::Tensor before = weight(*load_vision_model(checkpoint), "position");
    options.image_size = 14;
    const VisionModel model(options, 2);
    const TransferredWeights done = load_for_finetuning(checkpoint, model);
    EXPECT_EQ(done.interpolated, std::vector<std::string>{"position"});
    const at::Tensor after = weight(model, "position");
    const int64_t leading = pooling == Pooling::class_token ? 1 : 0;
    EXPECT_TRUE(at::equal(after.narrow(0, 0, leading), before.narrow(0, 0, leading)));
    // 3 and 7 cells: the middle ones have one centre, where cubic convolution returns the value.
    EXPECT_LT(test::max_difference(after[leading + 24], before[leading + 4]), 1e-6);
    const c10::NoGradGuard no_grad;
    EXPECT_TRUE(model.logits(test::normal({1, 2, 14, 14}, 1, at::kFloat)).isfinite().all().item<bool>());
  }
}

TEST_F(VisionTransfer, FixedTablesFollowTheSize) {
  for (const PicturePosition position : {PicturePosition::sincos, PicturePosition::rotary}) {
    VisionOptions options = small();
    options.position = position;
    const std::string checkpoint = save(options);
    options.image_size = 10;
    const VisionModel model(options, 2);
    const TransferredWeights done = load_for_finetuning(checkpoint, model);
    EXPECT_EQ(done.taken.size(), model.parameters().size());
    const c10::NoGradGuard no_grad;
    EXPECT_TRUE(model.logits(test::normal({1, 2, 10, 10}, 1, at::kFloat)).isfinite().all().item<bool>());
  }
}

TEST_F(VisionTransfer, AnotherModelIsRefusedAndNothingChanges) {
  const std::string checkpoint = save(small());
  VisionOptions options = small();
  options.width = 24;
  const VisionModel model(options, 2), drawn(options, 2);
  expect_error(2, "checkpoint has width = 12, this model 24", [&] { load_for_finetuning(checkpoint, model); });
  options = small();
  options.pooling = Pooling::mean;
  expect_error(2, "pooling", [&] { load_for_finetuning(checkpoint, VisionModel(options, 2)); });
  for (const Parameter& parameter : drawn.parameters())
    EXPECT_TRUE(at::equal(weight(model, parameter.name), parameter.value.detach())) << parameter.name;
  expect_error(3, "config.json: no such file", [&] { load_for_finetuning(folder_.path(), VisionModel(small(), 2)); });
}

TEST(ResizedGrid, IsCubicConvolutionByHand) {
  // Twice the size: outputs lie a quarter of a cell to either side of a centre; in the middle of a row the weights are those of Keys's
  // kernel at distances .25, .75, 1.25, 1.75.
  const auto keys = [](double x) {
    x = std::abs(x);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-.5 * x + 2.5) * x - 4) * x + 2;
  };
  const at::Tensor line = test::normal({1, 1, 6}, 1, at::kDouble), wide = resized_grid(line, 1, 12);
  const auto value = [&](int64_t i) { return line[0][0][i].item<double>(); };
  const double expected = keys(1.75) * value(1) + keys(.75) * value(2) + keys(.25) * value(3) + keys(1.25) * value(4);
  EXPECT_NEAR(wide[0][0][6].item<double>(), expected, 1e-12);  // centre 3.25 - .5 = 2.75
  EXPECT_TRUE(at::equal(resized_grid(line, 1, 6), line));
  // A constant stays one, up and down.
  const at::Tensor constant = at::arange(3, at::kDouble).view({3, 1, 1}).expand({3, 5, 5});
  EXPECT_LT(test::max_difference(resized_grid(constant, 9, 2), at::arange(3, at::kDouble).view({3, 1, 1}).expand({3, 9, 2})), 1e-12);
}

}  // namespace
}  // namespace aot
