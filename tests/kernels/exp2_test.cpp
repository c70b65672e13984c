// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/exp2.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/paths.h"

namespace aot {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

/// Distance from 2^x, -126 <= x < 128, in units of its last place.
double ulp_error(float x, float out) {
  const double exact = std::exp2(static_cast<double>(x));
  return std::abs(out - exact) / std::ldexp(1.0, std::ilogb(exact) - 23);
}

std::vector<float> powers(const std::vector<float>& x) {
  std::vector<float> out(x.size(), kNaN);
  exp2_row(x.data(), static_cast<int64_t>(x.size()), out.data());
  return out;
}

class Exp2 : public ::testing::TestWithParam<CpuPath> {
 protected:
  void SetUp() override { set_cpu_path(GetParam()); }
  /// Units of the last place. Without a fused multiply-add every step of the polynomial rounds once more.
  [[nodiscard]] static double most_ulp() { return GetParam() == CpuPath::generic ? 1.2 : 1; }
  test::KeepCpuPath keep_;
};

TEST_P(Exp2, IsWithinItsBoundOverAllNumbers) {
  // Every 257th pattern of bits: all sizes and both signs, infinities and NaN among them.
  constexpr uint64_t kStep = 257, kChunk = 4096;
  double worst = 0;
  for (uint64_t first = 0; first < uint64_t{1} << 32; first += kStep * kChunk) {
    std::vector<float> x;
    for (uint64_t bits = first; bits < first + kStep * kChunk && bits < uint64_t{1} << 32; bits += kStep)
      x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    const std::vector<float> out = powers(x);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i]))
        ASSERT_TRUE(std::isnan(out[i]));
      else if (x[i] < -126)
        ASSERT_EQ(out[i], 0) << x[i];
      else if (x[i] < 128)
        worst = std::max(worst, ulp_error(x[i], out[i]));
    }
  }
  EXPECT_LE(worst, most_ulp());
  EXPECT_GT(worst, 0.5);  // or nothing was compared: no polynomial rounds that well
}

TEST_P(Exp2, HoldsAroundEveryHalfAndWholeNumber) {
  // Where the whole part changes, and where the fraction is 0.
  std::vector<float> x;
  for (int twice = -252; twice < 256; ++twice)
    for (const float towards : {-kInf, kInf}) {
      float near = static_cast<float>(twice) / 2;
      for (int i = 0; i < 4; ++i, near = std::nextafter(near, towards))
        if (near >= -126) x.push_back(near);
    }
  const std::vector<float> out = powers(x);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LE(ulp_error(x[i], out[i]), most_ulp()) << x[i];
    if (x[i] == std::rint(x[i])) {
      EXPECT_EQ(out[i], std::ldexp(1.0F, static_cast<int>(x[i])));
    }
  }
}

TEST_P(Exp2, KeepsItsEnds) {
  const float smallest = std::ldexp(1.0F, -126);  // of those that are stored with all their digits
  EXPECT_EQ(powers({-126})[0], smallest);
  EXPECT_EQ(powers({127})[0], std::ldexp(1.0F, 127));
  for (const float x : {0.0F, -0.0F, 1e-45F, -1e-45F}) EXPECT_EQ(powers({x})[0], 1) << x;
  for (const float x : {std::nextafter(-126.0F, -kInf), -127.0F, -149.0F, -1000.0F, -3e38F, -kInf}) EXPECT_EQ(powers({x})[0], 0) << x;
  EXPECT_TRUE(std::isfinite(powers({std::nextafter(128.0F, 0.0F)})[0]));
  for (const float bad : {kNaN, -kNaN}) EXPECT_TRUE(std::isnan(powers({bad})[0]));
}

TEST_P(Exp2, NothingOfARowDependsOnItsPlaceOrIsWrittenBehindIt) {
  std::vector<float> x;
  for (int i = 0; i < 37; ++i) x.push_back(static_cast<float>(i) * -3.7F);
  const std::vector<float> whole = powers(x);
  for (size_t count = 0; count < x.size(); ++count) {
    std::vector<float> out(x.size(), -1);
    exp2_row(x.data(), static_cast<int64_t>(count), out.data());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(out[i], i < count ? whole[i] : -1) << i << " of " << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Exp2, ::testing::ValuesIn(supported_cpu_paths()),
                         [](const auto& path) { return std::string(name_of(path.param)); });

}  // namespace
}  // namespace aot
