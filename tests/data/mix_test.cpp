// SPDX-License-Identifier: Apache-2.0
#include "aot/data/mix.h"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace aot {
namespace {

constexpr int64_t kCount = 5, kChannels = 2, kHeight = 6, kWidth = 7, kPlane = kHeight * kWidth, kImage = kChannels * kPlane;

std::vector<float> counting() {
  std::vector<float> pixels(kCount * kImage);
  std::iota(pixels.begin(), pixels.end(), 0.F);
  return pixels;
}

TEST(Mix, MixupBlendsPairsByTheShareThatItReturns) {
  const std::vector<float> before = counting();
  std::vector<float> after = before;
  Random random(1);
  const double keep = mix_batch(random, .8, 0, {after.data(), kCount, kChannels, kHeight, kWidth});
  ASSERT_GT(keep, 0);
  ASSERT_LT(keep, 1);
  for (int64_t i = 0; i < kCount; ++i)
    for (int64_t p = 0; p < kImage; ++p)
      ASSERT_NEAR(
          after[static_cast<size_t>(i * kImage + p)],
          keep * before[static_cast<size_t>(i * kImage + p)] + (1 - keep) * before[static_cast<size_t>((kCount - 1 - i) * kImage + p)],
          1e-3);
}

TEST(Mix, CutmixExchangesOneRectangleOfTheShareThatItReturns) {
  const std::vector<float> before = counting();
  for (uint64_t seed = 0; seed < 100; ++seed) {
    std::vector<float> after = before;
    Random random(seed);
    const double keep = mix_batch(random, 0, 1, {after.data(), kCount, kChannels, kHeight, kWidth});
    for (int64_t i = 0; i < kCount; ++i) {
      int64_t own = 0;
      for (int64_t p = 0; p < kImage; ++p) {
        const float value = after[static_cast<size_t>(i * kImage + p)], first = before[static_cast<size_t>(i * kImage + p)];
        ASSERT_TRUE(value == first || value == before[static_cast<size_t>((kCount - 1 - i) * kImage + p)]);
        ASSERT_EQ(value == first,
                  after[static_cast<size_t>(i * kImage + p % kPlane)] == before[static_cast<size_t>(i * kImage + p % kPlane)])
            << "the same rectangle in every channel";
        own += value == first ? 1 : 0;
      }
      const bool is_middle = i == kCount / 2;  // it has no other
      EXPECT_NEAR(static_cast<double>(own) / kImage, is_middle ? 1 : keep, 1e-9);
    }
  }
}

TEST(Mix, WithBothEitherComes) {
  int blends = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<float> pixels = counting();
    Random random(seed);
    mix_batch(random, .5, .5, {pixels.data(), kCount, kChannels, kHeight, kWidth});
    blends += pixels[0] != 0 && pixels[0] != 4 * kImage ? 1 : 0;
  }
  EXPECT_NEAR(blends, 100, 40);
}

TEST(Mix, BetaHasItsMoments) {
  for (const double alpha : {.2, .5, 1.0}) {
    Random random(1);
    constexpr int kDraws = 50'000;
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = draw_beta(random, alpha);
      ASSERT_TRUE(x >= 0 && x <= 1);
      sum += x;
      squares += (x - .5) * (x - .5);
    }
    EXPECT_NEAR(sum / kDraws, .5, .01);
    EXPECT_NEAR(squares / kDraws, 1 / (4 * (2 * alpha + 1)), .005) << alpha;
  }
}

}  // namespace
}  // namespace aot
