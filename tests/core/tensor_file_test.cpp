// SPDX-License-Identifier: Apache-2.0
#include "aot/core/tensor_file.h"

#include <limits>

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

/// Zeros but for `value` at one place.
at::Tensor with(double value, int64_t place, at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  const at::Tensor out = at::zeros(shape, dtype);
  out.view({-1})[place] = value;
  return out;
}

TEST(FirstNonFinite, IsFoundInEveryPieceAndInRowMajorOrder) {
  constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr int64_t kMany = (1 << 18) + 7;  // more than one piece
  for (const int64_t place : {int64_t{0}, int64_t{1} << 17, (int64_t{1} << 18) - 1, int64_t{1} << 18, kMany - 1})
    for (const double value : {kNan, kInf, -kInf}) EXPECT_EQ(first_non_finite(with(value, place, {kMany})), place);
  EXPECT_EQ(first_non_finite(at::zeros({kMany})), -1);
  EXPECT_EQ(first_non_finite(with(kNan, 4, {3, 5}).t()), 4 * 3) << "row 0, column 4, seen transposed";
  EXPECT_EQ(first_non_finite(with(kInf, 2, {3}, at::kBFloat16)), 2);
  EXPECT_EQ(first_non_finite(at::zeros({2}, at::kLong)), -1);
  EXPECT_EQ(first_non_finite(at::zeros({0, 3})), -1);
}

at::Tensor waves(at::IntArrayRef shape) {
  return at::arange(c10::multiply_integers(shape), at::kFloat).mul_(0.7).sin_().view(shape);
}

TEST(Int8, KeepsEveryNumberToHalfAStepOfItsRow) {
  const TestFolder folder;
  at::Tensor matrix = waves({40, 33});
  matrix[3].zero_();
  matrix[4].mul_(1e-30);
  const at::Tensor small = waves({40, 31}), row = waves({64});
  {
    AtomicFolder writer(folder.path(), "model");
    const auto lazy = [](const char* name, const at::Tensor& value) {
      return LazyTensor{name, value.sizes().vec(), [value] { return value; }};
    };
    save_tensors(writer, "w.safetensors", {lazy("matrix", matrix), lazy("small", small), lazy("row", row)}, at::kChar);
    writer.commit({});
  }
  const SafetensorsFile file(folder.path("model/w.safetensors"));
  EXPECT_EQ(file.find("matrix")->dtype, "I8");
  EXPECT_EQ(file.find("small")->dtype, "F32");
  const auto empty_like = [](const at::Tensor& value) { return at::zeros(value.sizes()); };
  const Parameters read = {{"matrix", empty_like(matrix)}, {"small", empty_like(small)}, {"row", empty_like(row)}};
  load_tensors(file, read, Stored::or_smaller);
  const at::Tensor off = (read[0].value - matrix).abs(), most = matrix.abs().amax(1, true) / 254 * (1 + 1e-5);
  EXPECT_TRUE((off <= most).all().item<bool>());
  EXPECT_GT(off.max().item<double>(), 0);
  EXPECT_TRUE(read[1].value.equal(small) && read[2].value.equal(row));
  expect_error(3, "tensor 'matrix'", [&] { load_tensors(file, read); });  // a training goes on from float32 alone
}

TEST(Int8, WithoutItsScalesIsNoMatrix) {
  const TestFolder folder;
  const std::vector<int8_t> numbers(40 * 33);
  const std::vector<float> scales(39, 1.0F);
  write_safetensors(folder.path("w"), {TensorData{"m.scale", "F32", {39}, scales.data(), 39 * 4},
                                       TensorData{"m", "I8", {40, 33}, numbers.data(), numbers.size()}});
  const SafetensorsFile file(folder.path("w"));
  expect_error(3, "tensor 'm': model needs F32 [40, 33] (found I8 [40, 33])", [&] {
    load_tensors(file, {{"m", at::zeros({40, 33})}}, Stored::or_smaller);
  });
}

}  // namespace
}  // namespace aot
