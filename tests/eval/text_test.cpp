// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/text.h"

#include <gtest/gtest.h>

#include <cmath>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include "aot/eval/windows.h"
#include "aot/io/error.h"
#include "tests/eval/models.h"
#include "tests/support/byte_tokenizer.h"

namespace aot {
namespace {

constexpr int64_t kContext = 8;

LanguageModel small_model() {
  return test::small_model(kContext);
}

std::vector<int32_t> random_tokens(int64_t count) {
  return test::random_tokens(count);
}

/// Loss of the token at `target` when the model reads [first, target), by one pass and a plain log-softmax.
double loss_at(const LanguageModel& model, const std::vector<int32_t>& tokens, int64_t first, int64_t target) {
  const c10::NoGradGuard guard;
  const std::vector<int64_t> ids(tokens.begin() + first, tokens.begin() + target);
  const at::Tensor logits = model.logits(model.hidden(at::tensor(ids).unsqueeze(0)))[0];
  return -at::log_softmax(logits[target - first - 1].to(at::kDouble), 0)[tokens[target]].item<double>();
}

TEST(ScoreText, DisjointWindowsByHand) {
  const LanguageModel model = small_model();
  const auto tokens = random_tokens(21);  // 20 targets: 8 + 8 + 4
  std::vector<double> sums = {0, 0, 0};
  for (int64_t t = 1; t <= 20; ++t) sums[(t - 1) / 8] += loss_at(model, tokens, (t - 1) / 8 * 8, t);
  const double loss = (sums[0] + sums[1] + sums[2]) / 20;
  const double squares = std::pow(sums[0] - 8 * loss, 2) + std::pow(sums[1] - 8 * loss, 2) + std::pow(sums[2] - 4 * loss, 2);

  const test::ByteTokenizer tokenizer;
  const TextScore score = *score_text(model, source_of(tokens), &tokenizer);
  EXPECT_EQ(score.protocol, "windows");
  EXPECT_EQ(score.tokens, 20);
  EXPECT_EQ(score.windows, 3);
  EXPECT_NEAR(score.loss, loss, 1e-5);
  EXPECT_NEAR(*score.standard_error, std::sqrt(squares * 1.5) / 20, 1e-5);
  EXPECT_NEAR(score.perplexity, std::exp(loss), 1e-4 * std::exp(loss));
  EXPECT_EQ(score.bytes, 20);
  EXPECT_NEAR(*score.bits_per_byte, loss / std::log(2.0), 1e-5);
}

TEST(ScoreText, AStrideScoresTheNewPartWithTheOldAsContext) {
  const LanguageModel model = small_model();
  const auto tokens = random_tokens(22);
  double sum = 0;
  for (int64_t t = 1; t <= 21; ++t) sum += loss_at(model, tokens, t <= 8 ? 0 : (t - 8 + 2) / 3 * 3, t);
  const TextScore score = *score_text(model, source_of(tokens), nullptr, 3);
  EXPECT_EQ(score.protocol, "strided");
  EXPECT_EQ(score.tokens, 21);
  EXPECT_NEAR(score.loss, sum / 21, 1e-5);
  EXPECT_FALSE(score.bits_per_byte.has_value());
}

TEST(ScoreText, RandomWindowsAreScoredAsOftenAsTheyAreDrawn) {
  const LanguageModel model = small_model();
  const auto tokens = random_tokens(15);  // 7 places for 8 inputs
  WindowMean mean;
  for (int64_t i = 0; i < 20; ++i) {
    const Window w = random_window(i, 15, kContext, 3);
    double sum = 0;
    for (int64_t t = 1; t <= kContext; ++t) sum += loss_at(model, tokens, w.first, w.first + t);
    mean.add(sum, kContext);
  }
  const test::ByteTokenizer tokenizer;
  int64_t windows = 0;
  const TextScore score =
      *score_text(model, source_of(tokens), &tokenizer,
                  {.protocol = TextProtocol::tost, .windows = 20, .seed = 3, .words = 5, .on_window = [&](const Window& w, double) {
                     EXPECT_EQ(w.first, random_window(windows++, 15, kContext, 3).first);
                   }});
  EXPECT_EQ(score.protocol, "tost");
  EXPECT_EQ(windows, 20);
  EXPECT_EQ(score.windows, 20);
  EXPECT_EQ(score.tokens, 160);
  EXPECT_EQ(score.bytes, 160);
  EXPECT_NEAR(score.loss, mean.mean(), 1e-5);
  EXPECT_NEAR(*score.standard_error, *mean.standard_error(), 1e-5);
  EXPECT_NEAR(*score.nats_per_word, 3 * score.loss, 1e-12);  // 15 tokens for 5 words
}

TEST(ScoreText, APerplexityPerWord) {
  const LanguageModel model = small_model();
  const auto tokens = random_tokens(21);
  const TextScore plain = *score_text(model, source_of(tokens), nullptr);
  const TextScore score = *score_text(model, source_of(tokens), nullptr, {.protocol = TextProtocol::word, .words = 8});
  EXPECT_EQ(score.protocol, "word");
  EXPECT_EQ(score.loss, plain.loss);
  EXPECT_NEAR(*score.nats_per_word, plain.loss * 20 / 8, 1e-12);
  EXPECT_NEAR(*score.word_error, *plain.standard_error * 20 / 8, 1e-12);
  EXPECT_NEAR(std::log(score.perplexity), *score.nats_per_word, 1e-12);
  EXPECT_FALSE(plain.nats_per_word.has_value());
  EXPECT_THROW(score_text(model, source_of(tokens), nullptr, {.protocol = TextProtocol::word}), Error);
}

TEST(ScoreText, ManyWindowsInBatchesEqualOneByOne) {
  const LanguageModel model = small_model();
  const auto tokens = random_tokens(2 * 4096 + 77);
  WindowMean mean;
  const int64_t windows = window_count(static_cast<int64_t>(tokens.size()), kContext, kContext);
  for (int64_t i = 0; i < windows; i += 97) {  // a sample of them, each alone
    const Window w = window_at(i, static_cast<int64_t>(tokens.size()), kContext, kContext);
    const std::vector<int32_t> alone(tokens.begin() + w.first, tokens.begin() + w.first + w.length + 1);
    double sum = 0;
    for (int64_t t = 1; t <= w.length; ++t) sum += loss_at(model, tokens, w.first, w.first + t);
    EXPECT_NEAR(score_text(model, source_of(alone), nullptr)->loss, sum / static_cast<double>(w.length), 1e-5);
    mean.add(sum, w.length);
  }
  const TextScore score = *score_text(model, source_of(tokens), nullptr);
  EXPECT_EQ(score.windows, windows);
  EXPECT_EQ(score.tokens, static_cast<int64_t>(tokens.size()) - 1);
  EXPECT_NEAR(score.loss, mean.mean(), 5 * *mean.standard_error());
}

TEST(ScoreText, AModelThatKnowsNothingScoresLogV) {
  const LanguageModel model = small_model();
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters())
    if (parameter.name == "embedding") parameter.value.detach().zero_();
  const TextScore score = *score_text(model, source_of(random_tokens(100)), nullptr);
  EXPECT_NEAR(score.loss, std::log(256.0), 1e-6);
  EXPECT_NEAR(*score.standard_error, 0, 1e-6);
  EXPECT_NEAR(score.perplexity, 256, 1e-3);
}

TEST(ScoreText, OneShortWindowHasNoStandardError) {
  const LanguageModel model = small_model();
  const TextScore score = *score_text(model, source_of(random_tokens(2)), nullptr);
  EXPECT_EQ(score.tokens, 1);
  EXPECT_FALSE(score.standard_error.has_value());
}

TEST(ScoreText, RefusesStridesAndTextsThatCannotBe) {
  const LanguageModel model = small_model();
  const auto tokens = random_tokens(30), one = random_tokens(1);
  EXPECT_THROW(score_text(model, source_of(tokens), nullptr, kContext + 1), UsageError);
  EXPECT_THROW(score_text(model, source_of(tokens), nullptr, -1), UsageError);
  EXPECT_THROW(score_text(model, source_of(one), nullptr), Error);
}

TEST(ScoreText, ALossThatIsNotFiniteIsAnError) {
  const LanguageModel model = small_model();
  const c10::NoGradGuard guard;
  model.parameters().back().value.detach().fill_(NAN);
  EXPECT_THROW(score_text(model, source_of(random_tokens(30)), nullptr), Error);
}

}  // namespace
}  // namespace aot
