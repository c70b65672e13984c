// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "aot/core/random.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Logits of tokens 0, 1, 2, 3 with probabilities 0.1, 0.4, 0.2, 0.3.
const std::vector<float> kFour = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};

/// Every token that some `u` can draw.
std::set<int32_t> reachable(const std::vector<float>& logits, const SamplingOptions& options, const std::vector<uint8_t>& seen = {}) {
  std::set<int32_t> tokens;
  for (int i = 0; i < 1000; ++i) tokens.insert(choose_token(logits, seen, options, i / 1000.0));
  return tokens;
}

TEST(Sampling, InvertsTheDistributionFunctionInOrderOfIds) {
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.0), 0);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.099), 0);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.101), 1);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.499), 1);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.501), 2);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.699), 2);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0.701), 3);
  EXPECT_EQ(choose_token(kFour, {}, {}, 0x1.fffffffffffffp-1), 3);
}

TEST(Sampling, FiltersThatDropNothingChangeNothing) {
  const SamplingOptions all{.top_k = 100, .top_p = 1, .min_p = 1e-9};
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(choose_token(kFour, {}, all, i / 1000.0), choose_token(kFour, {}, {}, i / 1000.0));
}

TEST(Sampling, TemperatureSharpensAndFlattens) {
  // Squared and normalised: 1, 16, 4, 9 of 30.
  const SamplingOptions half{.temperature = 0.5};
  EXPECT_EQ(choose_token(kFour, {}, half, 1 / 30.0 - 1e-6), 0);
  EXPECT_EQ(choose_token(kFour, {}, half, 1 / 30.0 + 1e-6), 1);
  EXPECT_EQ(choose_token(kFour, {}, half, 17 / 30.0 - 1e-6), 1);
  EXPECT_EQ(choose_token(kFour, {}, half, 17 / 30.0 + 1e-6), 2);
  EXPECT_EQ(choose_token(kFour, {}, half, 21 / 30.0 + 1e-6), 3);
  // Nearly flat, and nearly greedy without overflow.
  EXPECT_EQ(choose_token(kFour, {}, {.temperature = 1000}, 0.2497), 0);
  EXPECT_EQ(choose_token(kFour, {}, {.temperature = 1000}, 0.7501), 3);
  EXPECT_EQ(reachable(kFour, {.temperature = 1e-300}), (std::set<int32_t>{1}));
}

TEST(Sampling, ZeroTemperatureAndGreedyTakeTheLowestOfTheBest) {
  const std::vector<float> logits = {-1, 2, 0.5, 2, 2};
  for (const double u : {0.0, 0.3, 0.999}) {
    EXPECT_EQ(choose_token(logits, {}, {.temperature = 0}, u), 1);
    EXPECT_EQ(choose_token(logits, {}, {.greedy = true}, u), 1);
  }
}

TEST(Sampling, TopKKeepsTheBestAndBreaksTiesByLowestId) {
  EXPECT_EQ(reachable(kFour, {.top_k = 1}), (std::set<int32_t>{1}));
  EXPECT_EQ(reachable(kFour, {.top_k = 2}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(reachable(kFour, {.top_k = 3}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(reachable({0, 0, 0, 0, 0}, {.top_k = 2}), (std::set<int32_t>{0, 1}));
  // Renormalised: token 1 has 4 of 7.
  EXPECT_EQ(choose_token(kFour, {}, {.top_k = 2}, 4 / 7.0 - 1e-6), 1);
  EXPECT_EQ(choose_token(kFour, {}, {.top_k = 2}, 4 / 7.0 + 1e-6), 3);
}

TEST(Sampling, TopPKeepsTheFewestBestThatReachTheShare) {
  EXPECT_EQ(reachable(kFour, {.top_p = 1e-9}), (std::set<int32_t>{1}));
  EXPECT_EQ(reachable(kFour, {.top_p = 0.39}), (std::set<int32_t>{1}));
  EXPECT_EQ(reachable(kFour, {.top_p = 0.41}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(reachable(kFour, {.top_p = 0.71}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(reachable(kFour, {.top_p = 0.91}), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(reachable({0, 0, 0, 0}, {.top_p = 0.5}), (std::set<int32_t>{0, 1}));
}

TEST(Sampling, MinPIsRelativeToTheBest) {
  EXPECT_EQ(reachable(kFour, {.min_p = 0.24}), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(reachable(kFour, {.min_p = 0.26}), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(reachable(kFour, {.min_p = 0.6}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(reachable(kFour, {.min_p = 1}), (std::set<int32_t>{1}));
}

TEST(Sampling, TemperatureComesBeforeTopP) {
  // At temperature 1/2 the shares are 16/30, 9/30, ...: 0.5 is reached by one token; at temperature 1 it takes two.
  EXPECT_EQ(reachable(kFour, {.temperature = 0.5, .top_p = 0.5}), (std::set<int32_t>{1}));
  EXPECT_EQ(reachable(kFour, {.temperature = 1, .top_p = 0.5}), (std::set<int32_t>{1, 3}));
}

TEST(Sampling, TopPSharesAreTakenAfterTopK) {
  // Of the two best, 4/7 and 3/7, the first alone holds 0.5; without top-k it would take two.
  EXPECT_EQ(reachable(kFour, {.top_k = 2, .top_p = 0.5}), (std::set<int32_t>{1}));
}

TEST(Sampling, RepetitionPenaltyLowersSeenTokensOfEitherSign) {
  const std::vector<float> logits = {2, 1.5, -1, -1.5};
  EXPECT_EQ(choose_token(logits, std::vector<uint8_t>{1, 0, 0, 0}, {.repetition_penalty = 1.5, .greedy = true}, 0), 1);  // 2 / 1.5 < 1.5
  EXPECT_EQ(choose_token(logits, std::vector<uint8_t>{1, 0, 0, 0}, {.repetition_penalty = 1.3, .greedy = true}, 0), 0);
  const std::vector<float> negative = {-1, -1.5};
  EXPECT_EQ(choose_token(negative, std::vector<uint8_t>{1, 0}, {.repetition_penalty = 1.6, .greedy = true}, 0), 1);  // -1 * 1.6 < -1.5
  EXPECT_EQ(choose_token(negative, std::vector<uint8_t>{0, 0}, {.repetition_penalty = 1.6, .greedy = true}, 0), 0);
}

TEST(Sampling, MinusInfinityIsNeverDrawn) {
  EXPECT_EQ(reachable({-kInf, 0, -kInf, 0, -kInf}, {}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(reachable({-kInf, 0, -kInf}, {.top_k = 3, .top_p = 0.999999, .repetition_penalty = 2}, {1, 1, 1}), (std::set<int32_t>{1}));
}

TEST(Sampling, RefusesWhatIsNotFinite) {
  const std::vector<std::vector<float>> bad = {{0, NAN, 1}, {0, kInf}, {-kInf, -kInf}, {NAN}};
  for (const auto& logits : bad)
    for (const double temperature : {0.0, 1.0}) {
      try {
        (void)choose_token(logits, {}, {.temperature = temperature}, 0.5);
        ADD_FAILURE() << "accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code, ExitCode::failed);
        EXPECT_EQ(std::string(error.what()).rfind("non-finite:", 0), 0u) << error.what();
      }
    }
}

/// Chi-square of 20,000 draws with fixed seeds against the distribution expected.
double chi_square(const std::vector<float>& logits, const SamplingOptions& options, const std::vector<double>& expected) {
  constexpr int kDraws = 20000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kDraws; ++i) ++counts[choose_token(logits, {}, options, Random(derive_seed(7, "sample", i)).uniform())];
  double chi = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(counts[i], 0) << i;
    } else {
      const double wanted = kDraws * expected[i];
      chi += (counts[i] - wanted) * (counts[i] - wanted) / wanted;
    }
  }
  return chi;
}

TEST(Sampling, FrequenciesFollowTheFilteredDistribution) {
  // 0.999 quantiles of chi-square with 3, 1 and 2 degrees of freedom: 16.3, 10.8, 13.8. The seeds are fixed: this cannot flicker.
  EXPECT_LT(chi_square(kFour, {}, {0.1, 0.4, 0.2, 0.3}), 16.3);
  EXPECT_LT(chi_square(kFour, {.temperature = 0.5}, {1 / 30.0, 16 / 30.0, 4 / 30.0, 9 / 30.0}), 16.3);
  EXPECT_LT(chi_square(kFour, {.top_k = 2}, {0, 4 / 7.0, 0, 3 / 7.0}), 10.8);
  EXPECT_LT(chi_square(kFour, {.top_p = 0.8}, {0, 4 / 9.0, 2 / 9.0, 3 / 9.0}), 13.8);
  EXPECT_LT(chi_square(kFour, {.min_p = 0.7}, {0, 4 / 7.0, 0, 3 / 7.0}), 10.8);
  EXPECT_GT(chi_square(kFour, {}, {0.12, 0.38, 0.2, 0.3}), 16.3);  // the test can fail
}

TEST(Sampling, LogProbabilitiesAreTheModelsOwn) {
  EXPECT_NEAR(log_probability(kFour, 2), std::log(0.2), 1e-6);
  const std::vector<float> shifted = {1000, 1001};
  EXPECT_NEAR(log_probability(shifted, 0), -std::log1p(std::exp(1.0)), 1e-9);
  const auto best = best_log_probabilities(kFour, 2);
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0].token, 1);
  EXPECT_EQ(best[1].token, 3);
  EXPECT_NEAR(best[1].logprob, std::log(0.3), 1e-6);
  EXPECT_EQ(best_log_probabilities(kFour, 100).size(), 4u);
  EXPECT_EQ(best_log_probabilities(std::vector<float>{1, 1, 1}, 2)[1].token, 1);  // ties by id
}

}  // namespace
}  // namespace aot
