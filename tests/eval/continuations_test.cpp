// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/continuations.h"

#include <gtest/gtest.h>

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "aot/core/non_finite.h"
#include "tests/eval/models.h"

namespace aot {
namespace {

constexpr int64_t kContext = 24;

std::vector<TargetText> texts_of_many_lengths() {
  std::vector<TargetText> texts;
  for (uint64_t i = 0; i < 60; ++i) {
    const auto length = static_cast<int64_t>(2 + i * 7 % kContext);
    texts.push_back({.ids = test::random_tokens(length, i + 1), .targets = std::min<int64_t>(1 + static_cast<int64_t>(i % 4), length - 1)});
  }
  return texts;
}

TEST(ScoreTargets, ManyTextsInBatchesEqualOneByOne) {
  for (const char* mixer : {"mssa", "tssa"}) {
    const LanguageModel model = test::small_model(kContext, mixer);
    const std::vector<TargetText> texts = texts_of_many_lengths();
    const auto scores = *score_targets(model, texts, {.known = 200});
    ASSERT_EQ(scores.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const at::Tensor logs = test::log_probabilities(model, {texts[i].ids.begin(), texts[i].ids.end() - 1});
      const auto first = static_cast<int64_t>(texts[i].ids.size()) - texts[i].targets;
      ASSERT_EQ(static_cast<int64_t>(scores[i].nats.size()), texts[i].targets);
      for (int64_t t = 0; t < texts[i].targets; ++t) {
        const at::Tensor row = logs[first + t - 1];
        EXPECT_NEAR(scores[i].nats[static_cast<size_t>(t)], -row[texts[i].ids[static_cast<size_t>(first + t)]].item<double>(), 1e-4);
        EXPECT_EQ(scores[i].best[static_cast<size_t>(t)], row.narrow(0, 0, 200).argmax().item<int64_t>());
      }
    }
  }
}

TEST(ScoreTargets, WhatMayNotComeFirstMayComeLater) {
  const LanguageModel model = test::small_model(kContext);
  const std::vector<TargetText> texts = {{.ids = test::random_tokens(12), .targets = 3}};
  const auto plain = *score_targets(model, texts, {.known = 256});
  at::Tensor never = at::zeros({256}, at::kBool);
  for (const int32_t id : plain[0].best) never[id] = true;
  const auto filtered = *score_targets(model, texts, {.known = 256, .never_first = never});
  EXPECT_NE(filtered[0].best[0], plain[0].best[0]);
  EXPECT_EQ(filtered[0].best[1], plain[0].best[1]);
  EXPECT_EQ(filtered[0].best[2], plain[0].best[2]);
  EXPECT_EQ(filtered[0].nats, plain[0].nats);
}

TEST(ScoreTargets, ALossThatIsNotFiniteIsAnError) {
  const LanguageModel model = test::small_model(kContext);
  const c10::NoGradGuard guard;
  model.parameters().back().value.detach().fill_(NAN);
  EXPECT_THROW(score_targets(model, texts_of_many_lengths(), {.known = 256}), NonFiniteError);
}

TEST(GreedyContinuations, EveryTokenIsTheBestOfAWholePass) {
  for (const char* mixer : {"mssa", "mhsa", "tssa"}) {
    const LanguageModel model = test::small_model(kContext, mixer);
    std::vector<std::vector<int32_t>> prompts;
    for (uint64_t i = 0; i < 50; ++i) prompts.push_back(test::random_tokens(1 + static_cast<int64_t>(i * i % 20), i + 1));
    const auto found = *greedy_continuations(model, prompts, 5, 200);
    ASSERT_EQ(found.size(), prompts.size());
    for (size_t i = 0; i < prompts.size(); ++i) {
      std::vector<int32_t> ids = prompts[i];
      ASSERT_EQ(found[i].size(), 5u);
      for (const int32_t id : found[i]) {
        const at::Tensor row = test::log_probabilities(model, ids)[static_cast<int64_t>(ids.size()) - 1].narrow(0, 0, 200);
        EXPECT_NEAR(row[id].item<double>(), row.max().item<double>(), 1e-4) << mixer << ' ' << i;  // rounding may swap near equals
        ids.push_back(id);
      }
    }
  }
}

}  // namespace
}  // namespace aot
