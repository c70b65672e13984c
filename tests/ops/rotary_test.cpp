// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/rotary.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace aot {
namespace {

TEST(Rotary, TurnsThePairsByPositionTimesFrequency) {
  const RotaryTable table(8, 4);
  const at::Tensor x = test::normal({3, 4}, 1), y = rotate(x, table, 5);
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t i = 0; i < 2; ++i) {
      const double angle = static_cast<double>(5 + t) * std::pow(10000.0, -i / 2.0);
      const double low = x[t][i].item<double>(), high = x[t][i + 2].item<double>();
      EXPECT_NEAR(y[t][i].item<double>(), low * std::cos(angle) - high * std::sin(angle), 1e-14);
      EXPECT_NEAR(y[t][i + 2].item<double>(), high * std::cos(angle) + low * std::sin(angle), 1e-14);
    }
}

TEST(Rotary, ProductsDependOnTheDistanceOnly) {
  const RotaryTable table(64, 6);
  const at::Tensor q = test::normal({1, 6}, 1), k = test::normal({1, 6}, 2);
  const auto product = [&](int64_t i, int64_t j) { return (rotate(q, table, i) * rotate(k, table, j)).sum().item<double>(); };
  EXPECT_NEAR(product(40, 33), product(7, 0), 1e-12);
}

TEST(Rotary, DifferentiatesByTurningBack) {
  const RotaryTable table(9, 6);
  const at::Tensor x = test::normal({2, 3, 7, 6}, 3).requires_grad_();
  EXPECT_LT(test::gradient_error([&] { return rotate(x, table, 2); }, {x}), 1e-8);
}

TEST(Rotary, FloatTablesAreRoundedFromDouble) {
  const RotaryTable table(4097, 8);
  EXPECT_EQ(table.cos(4096, 1, at::kFloat)[0][0].item<float>(), static_cast<float>(std::cos(4096.0)));
}

TEST(Rotary, InAPictureHalfOfThePairsTurnsByTheRowAndHalfByTheColumn) {
  const RotaryTable table({.height = 3, .width = 4, .leading = 2}, 8);
  EXPECT_EQ(table.tokens(), 14);
  const at::Tensor x = test::normal({14, 8}, 1), y = rotate(x, table);
  EXPECT_LT(test::max_difference(y.narrow(0, 0, 2), x.narrow(0, 0, 2)), 1e-15);  // leading tokens stand nowhere
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t column = 0; column < 4; ++column)
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t t = 2 + row * 4 + column;
        const double angle = static_cast<double>(i < 2 ? row : column) * std::pow(100.0, -static_cast<double>(i % 2) / 2);
        const double low = x[t][i].item<double>(), high = x[t][i + 4].item<double>();
        EXPECT_NEAR(y[t][i].item<double>(), low * std::cos(angle) - high * std::sin(angle), 1e-14);
        EXPECT_NEAR(y[t][i + 4].item<double>(), high * std::cos(angle) + low * std::sin(angle), 1e-14);
      }
  EXPECT_THROW(RotaryTable({.height = 3, .width = 4}, 6), c10::ValueError);
}

TEST(Rotary, RefusesOddHeadsAndPositionsPastTheTable) {
  EXPECT_THROW(RotaryTable(4, 5), c10::ValueError);
  const RotaryTable table(4, 6);
  EXPECT_THROW(rotate(test::normal({5, 6}, 1), table), c10::ValueError);
  EXPECT_THROW(rotate(test::normal({2, 6}, 1), table, 3), c10::ValueError);
  EXPECT_THROW(rotate(test::normal({2, 4}, 1), table), c10::ValueError);
}

}  // namespace
}  // namespace aot
