// SPDX-License-Identifier: Apache-2.0
#include "aot/core/tensor_file.h"

#include <limits>

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace aot
