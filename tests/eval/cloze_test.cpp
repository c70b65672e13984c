// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/cloze.h"

#include <gtest/gtest.h>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include "aot/eval/candidates.h"
#include "tests/eval/models.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/files.h"

namespace aot {
namespace {

ClozeQuestion small_question() {
  ClozeQuestion question{.query = "`` XXXXX , '' said XXXXX .", .answer = "cat", .options = {"dog", "cat", "horse"}, .line = 21};
  for (int i = 1; i <= 20; ++i) question.sentences.push_back(str("s", i, " ."));
  return question;
}

std::string text_of(const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) out += id == 256 ? "#" : std::string(1, static_cast<char>(id));
  return out;
}

TEST(Cloze, TextsOfEachProtocol) {
  const test::ByteTokenizer tokenizer(true);
  std::string story;
  for (int i = 1; i <= 20; ++i) story += str("s", i, " . ");
  const auto tost = cloze_texts(small_question(), ClozeProtocol::tost, tokenizer, "f");
  ASSERT_EQ(tost.size(), 3u);
  EXPECT_EQ(text_of(tost[0]), "#" + story + "`` dog , '' said dog .");
  EXPECT_EQ(text_of(tost[2]), "#" + story + "`` horse , '' said horse .");
  const auto paper = cloze_texts(small_question(), ClozeProtocol::gpt2_paper, tokenizer, "f");
  EXPECT_EQ(text_of(paper[1]), story + "`` cat , '' said cat .");
  ClozeQuestion first = small_question();
  first.query = "XXXXX ran .";
  EXPECT_EQ(text_of(cloze_texts(first, ClozeProtocol::gpt2_paper, tokenizer, "f")[1]), story + "cat ran .");
}

TEST(Cloze, WhatComesBeforeTheBlankIsEncodedApart) {
  /// Remembers the texts that it was given.
  class Listening : public test::ByteTokenizer {
   public:
    using Tokenizer::encode;
    void encode(std::string_view text, std::vector<int32_t>& ids) const override {
      texts.emplace_back(text);
      ByteTokenizer::encode(text, ids);
    }
    mutable std::vector<std::string> texts;
  };
  const Listening tokenizer;
  static_cast<void>(cloze_texts(small_question(), ClozeProtocol::gpt2_paper, tokenizer, "f"));
  ASSERT_EQ(tokenizer.texts.size(), 4u);
  EXPECT_TRUE(tokenizer.texts[0].ends_with(" s20 . ``"));
  EXPECT_EQ(tokenizer.texts[1], " dog , '' said dog .");
}

TEST(Cloze, AccuracyIsThatOfTheBestSums) {
  const test::ByteTokenizer tokenizer(true);
  const LanguageModel model = test::small_model(200, "mssa", 257);
  std::vector<ClozeQuestion> questions(3, small_question());
  questions[1].answer = "dog";
  questions[2].answer = "horse";
  for (const ClozeProtocol protocol : {ClozeProtocol::tost, ClozeProtocol::gpt2_paper}) {
    const ClozeScore score = *score_cloze(model, tokenizer, questions, "f", protocol);
    EXPECT_EQ(score.count, 3);
    EXPECT_EQ(score.cut, 0);
    EXPECT_NEAR(score.accuracy.mean, 1.0 / 3, 1e-12);  // all three choose the same option, which is right once
    EXPECT_EQ(score.answers[0].scores, score.answers[1].scores);
    EXPECT_EQ(score.answers[0].right, 1u);
    EXPECT_EQ(score.answers[2].chosen, best_candidate(score.answers[2].scores));
  }
}

TEST(Cloze, LongQuestionsKeepTheirEndAndAreCounted) {
  const test::ByteTokenizer tokenizer(true);
  const std::vector<ClozeQuestion> questions(1, small_question());
  EXPECT_EQ(score_cloze(test::small_model(60, "mssa", 257), tokenizer, questions, "f", ClozeProtocol::tost)->cut, 1);
  ClozeQuestion uneven = small_question();
  uneven.options[2] = "hippopotamus";
  const std::vector<ClozeQuestion> hopeless(1, uneven);
  expect_error(3, "f: line 21: the options differ by 18 tokens, the model's context holds 16",
               [&] { static_cast<void>(score_cloze(test::small_model(16, "mssa", 257), tokenizer, hopeless, "f", ClozeProtocol::tost)); });
}

}  // namespace
}  // namespace aot
