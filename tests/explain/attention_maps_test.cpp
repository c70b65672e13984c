// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/attention_maps.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/explain/segmentation.h"
#include "tests/support/files.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

VisionOptions small(const std::string& mixer = "mssa") {
  return {.mixer = mixer, .width = 12, .layers = 3, .heads = 3, .image_size = 6, .channels = 2, .classes = 5, .patch = 2};
}

/// A model with weights large enough that attention is far from uniform.
VisionModel lively(const VisionOptions& options, uint64_t seed = 1) {
  VisionModel model(options, seed);
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters())
    if (parameter.value.dim() > 1) at::Tensor(parameter.value).mul_(20);
  return model;
}

at::Tensor weight(const VisionModel& model, const std::string& name) {
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == name) return parameter.value.detach();
  return {};
}

TEST(AttentionMaps, TheFirstLayerOfMssaByHand) {
  // a_k = softmax_j(c A_cls . A_j) over all tokens, without the class token's own place; A = LayerNorm(z) U_k.
  VisionOptions options = small();
  options.norm = NormKind::none;
  const VisionModel model = lively(options);
  const c10::NoGradGuard guard;
  const at::Tensor images = test::normal({2, 2, 6, 6}, 1, at::kFloat);
  const at::Tensor maps = attention_maps(model, images)[0];  // (2, 3, 3, 3)
  ASSERT_EQ(maps.sizes(), (std::vector<int64_t>{2, 3, 3, 3}));
  at::Tensor z = at::matmul(patches_of(images, 2), weight(model, "patch").t()) + weight(model, "patch_bias");
  z = at::cat({weight(model, "class_token").expand({2, 1, 12}), z}, 1) + weight(model, "position");  // (2, 10, 12)
  for (int64_t k = 0; k < 3; ++k) {
    const at::Tensor a = at::matmul(z, weight(model, "layers.0.mixer.u").narrow(0, 4 * k, 4).t());  // (2, 10, 4)
    const at::Tensor row = (at::matmul(a, a.select(1, 0).unsqueeze(2)).squeeze(2) / 2).softmax(1);  // (2, 10)
    EXPECT_LT(test::max_difference(maps.select(1, k).flatten(1), row.narrow(1, 1, 9)), 1e-5) << k;
  }
}

TEST(AttentionMaps, WithoutAClassTokenTheyAreWhatEachPatchIsReadBy) {
  VisionOptions options = small("mhsa");
  options.pooling = Pooling::mean;
  at::Tensor weights = at::zeros({1, 3, 9, 9});
  weights[0][1].select(1, 4).fill_(1);  // in head 2 all read patch 5, the middle one
  weights[0][2].copy_(at::full({9, 9}, 1 / 9.));
  const at::Tensor map = attention_map(weights, options);
  EXPECT_DOUBLE_EQ(map[0][1][1][1].item<double>(), 1);
  EXPECT_DOUBLE_EQ(map[0][1].sum().item<double>(), 1);
  EXPECT_LT(test::max_difference(map[0][2], at::full({3, 3}, 1 / 9.)), 1e-7);
  for (const at::Tensor& layer : attention_maps(lively(options), test::normal({2, 2, 6, 6}, 1, at::kFloat)))
    EXPECT_LT(test::max_difference(layer.sum({2, 3}), at::ones({2, 3})), 1e-5);
}

TEST(AttentionMaps, AModelMayReadTheTokensOfAnother) {
  const VisionModel model = lively(small(), 1), other = lively(small(), 2);
  const at::Tensor images = test::normal({2, 2, 6, 6}, 1, at::kFloat);
  const auto own = attention_maps(model, images), same = attention_maps(model, images, &model),
             mixed = attention_maps(model, images, &other);
  ASSERT_EQ(mixed.size(), 3u);
  for (size_t l = 0; l < 3; ++l) EXPECT_LT(test::max_difference(own[l], same[l]), 1e-6);
  EXPECT_LT(test::max_difference(own[0], mixed[0]), 1e-6) << "nothing comes before the first layer but the embedding";
  EXPECT_GT(test::max_difference(own[1], mixed[1]), 1e-3);
}

TEST(AttentionMaps, AMixerWithoutWeightsIsRefused) {
  expect_error(2, "mixes by tssa", [] { check_attention(VisionModel(small("tssa"), 1)); });
}

TEST(ShownMaps, RunFromNothingToOneAndFlatOnesAreNothing) {
  at::Tensor maps = test::normal({2, 3, 3}, 1, at::kFloat);
  maps[1].fill_(.3);
  const at::Tensor shown = shown_maps(maps, 12);
  EXPECT_EQ(shown.sizes(), (std::vector<int64_t>{2, 12, 12}));
  EXPECT_DOUBLE_EQ(shown[0].min().item<double>(), 0);
  EXPECT_DOUBLE_EQ(shown[0].max().item<double>(), 1);
  EXPECT_LT(shown[1].abs().max().item<double>(), 1e-6);
}

}  // namespace
}  // namespace aot
