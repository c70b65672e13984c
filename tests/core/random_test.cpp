// SPDX-License-Identifier: Apache-2.0
#include "aot/core/random.h"

#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace aot {
namespace {

TEST(Random, IsSplitMix64AsPublished) {
  Random random(1234567);
  for (const uint64_t wanted :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u, 16408922859458223821u})
    EXPECT_EQ(random.next(), wanted);
}

TEST(Random, UniformAndBelowStayInRangeAndFillIt) {
  Random random(1);
  double sum = 0;
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    ++counts.at(random.below(7));
  }
  EXPECT_NEAR(sum / 70'000, 0.5, 0.01);
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_LT(random.below(UINT64_MAX), UINT64_MAX);
}

TEST(Random, NormalHasTheMomentsOfTheNormalDistribution) {
  constexpr int kDraws = 200'000;
  Random random(2);
  double sum = 0, squares = 0, fourth = 0, products = 0, last = 0;
  int within = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = random.normal();
    ASSERT_TRUE(std::isfinite(z));
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
    products += z * last;
    within += std::abs(z) < 1 ? 1 : 0;
    last = z;
  }
  const double error = 4 / std::sqrt(kDraws);  // four standard errors of a mean of unit variance
  EXPECT_NEAR(sum / kDraws, 0, error);
  EXPECT_NEAR(squares / kDraws, 1, error * std::sqrt(2));
  EXPECT_NEAR(fourth / kDraws, 3, error * std::sqrt(96));
  EXPECT_NEAR(products / kDraws, 0, error);
  EXPECT_NEAR(within / static_cast<double>(kDraws), 0.682689, error * 0.47);
}

TEST(DeriveSeed, IsAFunctionOfSeedPurposeAndIndexAlone) {
  EXPECT_EQ(derive_seed(1, "dropout", 3), derive_seed(1, "dropout", 3));
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (const char* purpose : {"", "a", "b", "ab", "dropout", "sample"})
      for (uint64_t index = 0; index < 50; ++index) seen.insert(derive_seed(seed, purpose, index));
  EXPECT_EQ(seen.size(), 20u * 6 * 50) << "no two agree";
}

}  // namespace
}  // namespace aot
