// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/lambada.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "aot/eval/continuations.h"
#include "aot/eval/stop_words.h"
#include "tests/eval/models.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/files.h"

namespace aot {
namespace {

constexpr int64_t kContext = 40;

TEST(Lambada, PassagesAreSplitAsEachProtocolSays) {
  const SplitPassage tost = split_passage(" “he said”,  and left \n", LambadaProtocol::tost);
  EXPECT_EQ(tost.context, "\n\"he said\",  and");
  EXPECT_EQ(tost.target, "left");
  const SplitPassage paper = split_passage("a “b” c", LambadaProtocol::gpt2_paper);
  EXPECT_EQ(paper.context, "\na \"b\"");
  const SplitPassage plain = split_passage("a “b”  c", LambadaProtocol::openai_greedy);
  EXPECT_EQ(plain.context, "a “b”");
  EXPECT_EQ(plain.target, "c");
  const SplitPassage alone = split_passage("word", LambadaProtocol::tost);
  EXPECT_EQ(alone.context, "\n");
  EXPECT_EQ(alone.target, "word");
  EXPECT_EQ(split_passage("word", LambadaProtocol::openai_greedy).context, "");
}

TEST(Lambada, ASubstringIsNotAWord) {
  EXPECT_TRUE(holds_target(" there was", "he"));
  EXPECT_FALSE(begins_with_target(" there was", "he"));
  EXPECT_TRUE(holds_target(" said HE.", "he"));
  EXPECT_FALSE(begins_with_target(" said he.", "he"));
  EXPECT_TRUE(begins_with_target(" \"He,\" said", "he"));
  EXPECT_FALSE(begins_with_target(" he's gone", "he"));
  EXPECT_FALSE(begins_with_target("", "he"));
  EXPECT_TRUE(begins_with_target(" ... and", "..."));
  EXPECT_EQ(lower_case("ÀÉÞ × Az\xc3"), "àéþ × az\xc3");
}

/// A model that writes every token after itself again: with no blocks that mix and equal embeddings in and out it likes its input best.
LanguageModel repeating_model() {
  LanguageModel model({.width = 256, .layers = 1, .heads = 4, .context = kContext, .vocab_size = 256}, 1);
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.name == "embedding") parameter.value.detach().zero_().fill_diagonal_(1);
    if (parameter.name.ends_with("w_out")) parameter.value.detach().zero_();
  }
  return model;
}

TEST(Lambada, TenGreedyTokensAndTheWordSomewhereInThem) {
  const test::ByteTokenizer tokenizer;
  const std::vector<TextItem> passages = test::text_items({"the cat ooo", "she said n", "a hush sh", "wheee EEEEEEEEEE"});
  const LambadaScore score = *score_lambada(repeating_model(), tokenizer, passages, "f", LambadaProtocol::tost);
  EXPECT_EQ(score.answers[0].output, "tttttttttt");
  EXPECT_FALSE(score.answers[0].correct);
  EXPECT_EQ(score.answers[1].output, "dddddddddd");
  EXPECT_TRUE(score.answers[3].correct);
  EXPECT_TRUE(score.answers[3].strict);
  EXPECT_DOUBLE_EQ(score.accuracy.mean, 0.25);
  EXPECT_NEAR(*score.accuracy.standard_error, std::sqrt(0.25 * 0.75 / 3), 1e-12);
  EXPECT_EQ(score.count, 4);
  EXPECT_EQ(score.cut, 0);
  EXPECT_FALSE(score.loss.has_value());
}

TEST(Lambada, EveryTokenOfTheTargetMustBeTheBest) {
  const test::ByteTokenizer tokenizer;
  const LanguageModel model = test::small_model(kContext);
  std::vector<std::string> texts;
  for (const char* start : {"the cat", "on a mat", "slept"}) {  // three targets that the model would write
    std::vector<int32_t> ids = tokenizer.encode(std::string(start) + " ");
    const auto written = *greedy_continuations(model, {ids}, 1, 256);
    texts.push_back(std::string(start) + " " + tokenizer.decode(written[0]));
  }
  texts.emplace_back("no such wordatall");
  const auto passages = test::text_items(texts);
  const LambadaScore score = *score_lambada(model, tokenizer, passages, "f", LambadaProtocol::openai_greedy);
  double nats = 0;
  for (const LambadaAnswer& answer : score.answers) {
    EXPECT_EQ(answer.correct, answer.output == " " + answer.target);
    nats += answer.nats;
  }
  EXPECT_NEAR(score.loss->mean, nats / 4, 1e-12);
  EXPECT_EQ(score.answers[3].tokens, 10);
  EXPECT_NEAR(*score.nats_per_token, nats / static_cast<double>(score.tokens), 1e-12);
  EXPECT_FALSE(score.answers[3].correct);
}

TEST(Lambada, LongPassagesKeepTheirEndAndAreCounted) {
  const test::ByteTokenizer tokenizer;
  const LanguageModel model = test::small_model(kContext);
  const std::string end = "and so it was that the cat sat on the mat";
  for (const LambadaProtocol protocol : {LambadaProtocol::tost, LambadaProtocol::openai_greedy, LambadaProtocol::gpt2_paper}) {
    const auto passages =
        test::text_items({"other words of a long story before it " + end, "quite unlike those before it, which were of kings " + end});
    const LambadaScore score = *score_lambada(model, tokenizer, passages, "f", protocol);
    EXPECT_EQ(score.cut, 2);
    EXPECT_EQ(score.answers[0].output, score.answers[1].output);
    EXPECT_EQ(score.answers[0].nats, score.answers[1].nats);
  }
}

TEST(Lambada, ContextsThatHoldTooLittleAreRefused) {
  const test::ByteTokenizer tokenizer;
  const LanguageModel model = test::small_model(8);
  expect_error(2, "writes 10 tokens, the model's context holds 8",
               [&] { static_cast<void>(score_lambada(model, tokenizer, test::text_items({"a b"}), "f", LambadaProtocol::tost)); });
  expect_error(3, "f: line 1: its last word has 9 tokens, the model's context holds 8", [&] {
    static_cast<void>(score_lambada(model, tokenizer, test::text_items({"a bcdefghi"}), "f", LambadaProtocol::openai_greedy));
  });
}

TEST(StopWords, TokensThatAreASpaceAndAStopWord) {
  EXPECT_TRUE(std::is_sorted(stop_words().begin(), stop_words().end()));
  /// Tokens of whole words.
  class Words : public test::ByteTokenizer {
   public:
    Words() : ByteTokenizer(false, 260) {}
    [[nodiscard]] std::string_view bytes_of(int32_t id) const override {
      constexpr std::string_view kWords[] = {" the", " THE", " cat", "the"};
      return id < 256 ? ByteTokenizer::bytes_of(id) : kWords[id - 256];
    }
  };
  const at::Tensor ids = stop_word_ids(Words(), 300);
  EXPECT_EQ(ids.sum().item<int64_t>(), 2);
  EXPECT_TRUE(ids[256].item<bool>());
  EXPECT_TRUE(ids[257].item<bool>());
  EXPECT_EQ(stop_word_ids(test::ByteTokenizer(), 256).sum().item<int64_t>(), 0);
}

}  // namespace
}  // namespace aot
