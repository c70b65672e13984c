// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/linear_row.h"

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

namespace aot {
namespace {

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.sub(b)).abs().max().item<double>();
}

TEST(LinearRow, EqualsTheMatrixProductForAwkwardSizes) {
  const c10::InferenceMode guard;
  for (const int64_t width : {1, 3, 16, 63, 384, 1000})
    for (const int64_t rows : {1, 2, 7, 65, 384, 1001}) {
      const at::Tensor x = at::randn({1, 1, width}), w = at::randn({rows, width});
      const at::Tensor out = linear_row(x, w);
      EXPECT_EQ(out.sizes(), (at::IntArrayRef{1, 1, rows}));
      EXPECT_LT(largest_difference(out, at::linear(x, w)), 1e-3) << width << ' ' << rows;
      const at::Tensor b = at::randn({rows});
      EXPECT_LT(largest_difference(linear_row(x, w, b), at::linear(x, w, b)), 1e-3) << width << ' ' << rows;
    }
}

TEST(LinearRow, BitsDoNotDependOnTheThreads) {
  const c10::InferenceMode guard;
  const at::Tensor x = at::randn({1, 384}), w = at::randn({1000, 384});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = linear_row(x, w);
  at::set_num_threads(2);
  const at::Tensor two = linear_row(x, w);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

TEST(LinearRow, EverythingElseIsTheUsualProduct) {
  const at::Tensor w = at::randn({5, 8}), x = at::randn({3, 8});
  EXPECT_TRUE(at::equal(linear_row(x, w), at::linear(x, w)));
  const at::Tensor row = at::randn({8, 1}).t(), turned = at::randn({8, 5}).t();  // not contiguous
  EXPECT_LT(largest_difference(linear_row(row, turned), at::linear(row, turned)), 1e-6);
  const at::Tensor half = row.to(at::kBFloat16);
  EXPECT_EQ(linear_row(half, w.to(at::kBFloat16)).scalar_type(), at::kBFloat16);
  EXPECT_EQ(linear_row(row.to(at::kDouble), w.to(at::kDouble)).scalar_type(), at::kDouble);
  EXPECT_ANY_THROW(linear_row(at::randn({1, 7}), w));
}

TEST(LinearRow, KeepsTheGradient) {
  const at::Tensor w = at::randn({5, 8}).requires_grad_(true), x = at::randn({1, 8});
  linear_row(x, w).sum().backward();
  EXPECT_LT(largest_difference(w.grad(), x.expand({5, 8})), 1e-6);
}

}  // namespace
}  // namespace aot
