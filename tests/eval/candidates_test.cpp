// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/candidates.h"

#include <gtest/gtest.h>

#include "tests/eval/models.h"

namespace aot {
namespace {

/// Sum of log p of the tokens from `first` on, by one pass and a plain log-softmax.
double score_from(const LanguageModel& model, const std::vector<int32_t>& ids, size_t first) {
  const at::Tensor logs = test::log_probabilities(model, ids);
  double sum = 0;
  for (size_t t = first; t < ids.size(); ++t) sum += logs[static_cast<int64_t>(t) - 1][ids[t]].item<double>();
  return sum;
}

std::vector<int32_t> joined(std::vector<int32_t> ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

TEST(Candidates, WhatAllShareIsReadOnceAndNotScored) {
  const auto prefix = test::random_tokens(11);
  for (const char* mixer : {"mssa", "mhsa", "tssa"}) {
    const LanguageModel model = test::small_model(20, mixer);
    const std::vector<std::vector<int32_t>> candidates = {joined(prefix, {1, 2, 3}), joined(prefix, {7}), joined(prefix, {1, 2, 4, 5, 6})};
    const CandidateScores found = candidate_scores(model, candidates);
    ASSERT_EQ(found.scores.size(), 3u);
    EXPECT_EQ(found.left_out, 0);
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(found.scores[i], score_from(model, candidates[i], 11), 1e-4) << mixer << ' ' << i;
  }
}

TEST(Candidates, TheBestIsThatOfWholeSums) {
  const LanguageModel model = test::small_model(20);
  std::vector<std::vector<int32_t>> candidates;
  std::vector<double> whole;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    candidates.push_back(joined(test::random_tokens(9), test::random_tokens(4, seed)));
    whole.push_back(score_from(model, candidates.back(), 1));
  }
  EXPECT_EQ(best_candidate(candidate_scores(model, candidates).scores), best_candidate(whole));
  EXPECT_EQ(best_candidate({-2, -1, -1}), 1u);
}

TEST(Candidates, OneThatOthersGoOnFromHasNothingLeftToScore) {
  const LanguageModel model = test::small_model(20);
  const auto shared = test::random_tokens(6);
  const CandidateScores found = candidate_scores(model, {shared, joined(shared, {5, 6})});
  EXPECT_EQ(found.scores[0], 0);
  EXPECT_NEAR(found.scores[1], score_from(model, joined(shared, {5, 6}), 6), 1e-5);
  EXPECT_EQ(candidate_scores(model, {shared, shared}).scores, (std::vector<double>{0, 0}));
}

TEST(Candidates, WithoutAnythingSharedTheFirstTokenIsNotScored) {
  const LanguageModel model = test::small_model(20);
  const CandidateScores found = candidate_scores(model, {{1, 2, 3}, {4, 5}});
  EXPECT_NEAR(found.scores[0], score_from(model, {1, 2, 3}, 1), 1e-5);
  EXPECT_NEAR(found.scores[1], score_from(model, {4, 5}, 1), 1e-5);
}

TEST(Candidates, AllLoseAsManyTokensAsTheLongestMust) {
  const LanguageModel model = test::small_model(12);
  const auto prefix = test::random_tokens(14);
  const CandidateScores found = candidate_scores(model, {joined(prefix, {1, 2}), joined(prefix, {3, 2, 4})});
  EXPECT_EQ(found.left_out, 5);
  const std::vector<int32_t> rest(prefix.begin() + 5, prefix.end());
  EXPECT_NEAR(found.scores[0], score_from(model, joined(rest, {1, 2}), 9), 1e-5);
  EXPECT_NEAR(found.scores[1], score_from(model, joined(rest, {3, 2, 4}), 9), 1e-5);
}

}  // namespace
}  // namespace aot
