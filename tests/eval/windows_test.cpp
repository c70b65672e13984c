// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/windows.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

namespace aot {
namespace {

/// All windows as (first, length, scored).
std::vector<std::array<int64_t, 3>> windows(int64_t tokens, int64_t context, int64_t stride) {
  std::vector<std::array<int64_t, 3>> all;
  for (int64_t i = 0; i < window_count(tokens, context, stride); ++i) {
    const Window w = window_at(i, tokens, context, stride);
    all.push_back({w.first, w.length, w.scored});
  }
  return all;
}

using List = std::vector<std::array<int64_t, 3>>;

TEST(Windows, DisjointOnesWithAShortLast) {
  EXPECT_EQ(windows(11, 4, 4), (List{{0, 4, 4}, {4, 4, 4}, {8, 2, 2}}));  // 10 targets
  EXPECT_EQ(windows(9, 4, 4), (List{{0, 4, 4}, {4, 4, 4}}));              // 8 targets: no short one
  EXPECT_EQ(windows(10, 4, 4), (List{{0, 4, 4}, {4, 4, 4}, {8, 1, 1}}));
  EXPECT_EQ(windows(3, 4, 4), (List{{0, 2, 2}}));
  EXPECT_EQ(windows(2, 4, 4), (List{{0, 1, 1}}));
  EXPECT_EQ(windows(4, 1, 1), (List{{0, 1, 1}, {1, 1, 1}, {2, 1, 1}}));
}

TEST(Windows, OverlappingOnesScoreTheNewPart) {
  EXPECT_EQ(windows(11, 4, 2), (List{{0, 4, 4}, {2, 4, 2}, {4, 4, 2}, {6, 4, 2}}));
  EXPECT_EQ(windows(12, 4, 2), (List{{0, 4, 4}, {2, 4, 2}, {4, 4, 2}, {6, 4, 2}, {8, 3, 1}}));
  EXPECT_EQ(windows(8, 4, 3), (List{{0, 4, 4}, {3, 4, 3}}));
}

TEST(Windows, RandomOnesAreWholeAndReachEveryPlace) {
  std::array<int64_t, 7> seen = {};  // 10 tokens have room for 3 inputs and their targets at 7 places
  for (int64_t i = 0; i < 700; ++i) {
    const Window w = random_window(i, 10, 3, 5);
    EXPECT_EQ(w.length, 3);
    EXPECT_EQ(w.scored, 3);
    ++seen.at(static_cast<size_t>(w.first));
    EXPECT_EQ(w.first, random_window(i, 10, 3, 5).first);
  }
  for (const int64_t count : seen) EXPECT_NEAR(static_cast<double>(count), 100, 45);  // 4.9 standard deviations
  EXPECT_EQ(random_window(0, 3, 8, 5).first, 0);
  EXPECT_EQ(random_window(0, 3, 8, 5).length, 2);
}

TEST(Windows, EveryTargetIsScoredOnce) {
  for (int64_t tokens = 2; tokens < 40; ++tokens)
    for (int64_t context = 1; context < 9; ++context)
      for (int64_t stride = 1; stride <= context; ++stride) {
        std::vector<int> scored(static_cast<size_t>(tokens));
        for (const auto& [first, length, count] : windows(tokens, context, stride)) {
          ASSERT_GE(count, 1);
          ASSERT_LE(first + length, tokens - 1);
          for (int64_t target = first + length - count + 1; target <= first + length; ++target) ++scored[target];
        }
        ASSERT_EQ(scored[0], 0);
        for (int64_t target = 1; target < tokens; ++target) ASSERT_EQ(scored[target], 1) << tokens << ' ' << context << ' ' << stride;
      }
}

TEST(WindowMean, StandardErrorOfEqualWindowsIsTheUsualOne) {
  WindowMean mean;
  for (const double value : {2.0, 3.0, 7.0}) mean.add(value * 5, 5);
  EXPECT_DOUBLE_EQ(mean.mean(), 4);
  EXPECT_NEAR(*mean.standard_error(), std::sqrt((4 + 1 + 9) / 2.0 / 3.0), 1e-12);  // sample deviation over sqrt(3)
}

TEST(WindowMean, AShortWindowCountsByItsTokens) {
  WindowMean mean;
  mean.add(8, 4);
  mean.add(12, 4);
  mean.add(1, 1);
  EXPECT_NEAR(mean.mean(), 21 / 9.0, 1e-12);
  const double m = 21 / 9.0;
  const double squares = std::pow(8 - 4 * m, 2) + std::pow(12 - 4 * m, 2) + std::pow(1 - m, 2);
  EXPECT_NEAR(*mean.standard_error(), std::sqrt(squares * 3 / 2) / 9, 1e-12);
}

TEST(WindowMean, EqualWindowsHaveNoErrorAndOneWindowHasNone) {
  WindowMean mean;
  mean.add(123456.789, 64);
  EXPECT_FALSE(mean.standard_error().has_value());
  for (int i = 0; i < 1000; ++i) mean.add(123456.789, 64);
  EXPECT_EQ(*mean.standard_error(), 0);
}

}  // namespace
}  // namespace aot
