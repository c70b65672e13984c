// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/taps.h"

#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

namespace aot {
namespace {

at::Tensor unchanged(const std::string&, const at::Tensor& value) {
  return value;
}

TEST(Taps, StarStandsForOneWholePart) {
  Taps taps;
  taps.listen("layers.*.heads", unchanged);
  EXPECT_TRUE(taps.wants("layers.0.heads"));
  EXPECT_TRUE(taps.wants("layers.12.heads"));
  EXPECT_FALSE(taps.wants("layers.0.scores"));
  EXPECT_FALSE(taps.wants("layers.heads"));
  EXPECT_FALSE(taps.wants("layers.0.1.heads"));
  EXPECT_FALSE(taps.wants("layers.0.heads.more"));
}

TEST(Taps, ListenersAreCalledInOrderAndReplaceTheValue) {
  Taps taps;
  taps.listen("x", [](const std::string&, const at::Tensor& value) { return value + 1; });
  taps.listen("x", [](const std::string&, const at::Tensor& value) { return value * 3; });
  EXPECT_EQ(taps.offer("x", at::zeros({1})).item<float>(), 3);
  EXPECT_EQ(taps.offer("y", at::zeros({1})).item<float>(), 0);
}

TEST(Taps, AReplacementOfAnotherShapeIsRefused) {
  Taps taps;
  taps.listen("x", [](const std::string&, const at::Tensor&) { return at::zeros({2}); });
  EXPECT_THROW(static_cast<void>(taps.offer("x", at::zeros({1}))), c10::ValueError);
}

TEST(Taps, AScopeWithoutTapsReturnsTheSameTensor) {
  const at::Tensor value = at::zeros({1});
  const TapScope scope;
  EXPECT_FALSE(scope.wants("heads"));
  EXPECT_TRUE(scope("heads", value).is_same(value));
}

}  // namespace
}  // namespace aot
