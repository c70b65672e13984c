// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/benchmark_text.h"

#include <gtest/gtest.h>

#include "aot/eval/published.h"
#include "tests/eval/models.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/files.h"

namespace aot {
namespace {

TEST(BenchmarkText, EveryItemEndsWithTheSeparatorAndBlankOnesAreIt) {
  const test::ByteTokenizer tokenizer(true);
  const Separator separator = separator_of(tokenizer);
  EXPECT_EQ(separator.id, 256);
  EXPECT_EQ(separator.shown, "<|endoftext|>");
  const ItemTokens text = encode_items(test::text_items({" a b ", "", " ", "c"}), tokenizer, separator, "f");
  EXPECT_EQ(text.tokens, (std::vector<int32_t>{' ', 'a', ' ', 'b', ' ', 256, 256, 256, 'c', 256}));
  EXPECT_EQ(text.words, 3);
}

TEST(BenchmarkText, ALineFeedStandsInForASeparator) {
  const test::ByteTokenizer tokenizer;
  EXPECT_EQ(separator_of(tokenizer).id, '\n');
  EXPECT_EQ(separator_of(tokenizer).shown, "line feed");
  expect_error(3, "no <|endoftext|>", [] { static_cast<void>(separator_of(*make_char_tokenizer({'a', 'b'}))); });
  EXPECT_EQ(separator_of(*make_char_tokenizer({'\n', 'b'})).id, 0);
}

TEST(BenchmarkText, AnItemThatTheTokenizerCannotReadIsNamedByLine) {
  const TokenizerPtr tokenizer = make_char_tokenizer({'\n', 'a', 'b'});
  expect_error(3, "f: line 2: line 1, column 2: U+0063", [&] {
    static_cast<void>(encode_items(test::text_items({"ab", "bc"}), *tokenizer, separator_of(*tokenizer), "f"));
  });
}

TEST(BenchmarkText, WordsAreCountedInTextAndOverTokens) {
  EXPECT_EQ(count_words(" a  bc\td\n"), 3);
  EXPECT_EQ(count_words(""), 0);
  const test::ByteTokenizer tokenizer(true);
  const std::vector<int32_t> tokens = {'a', 256, 'b', 'c', ' ', 256, 'd', 'e'};
  EXPECT_EQ(count_words(source_of(tokens), tokenizer), 3);
}

TEST(BenchmarkText, PennTreebankIsDetokenised) {
  EXPECT_EQ(detokenised_ptb(" it did n't sell the dow 's <unk> for $ N billion "), "it didn't sell the dow's <unk> for $N billion");
  EXPECT_EQ(detokenised_ptb(" traders ' cities\\/abc we 'll "), "traders' cities/abc we'll");
  EXPECT_EQ(detokenised_ptb("  "), "");
  const test::ByteTokenizer tokenizer(true);
  const ItemTokens text = encode_detokenised(test::text_items({" ca n't ", " b "}), tokenizer, "f");
  EXPECT_EQ(tokenizer.decode(text.tokens), "can't\nb");
  EXPECT_EQ(text.words, 3);
}

TEST(Published, ANamedFileAndItsCount) {
  EXPECT_EQ(published_set("ptb", "word").file, "ptb.test.txt");
  EXPECT_EQ(published_set("lambada", "tost").file, "lambada_test.jsonl");
  EXPECT_EQ(published_set("lambada", "tost-loss").file, "lambada_test_plain_text.txt");
  EXPECT_EQ(published_set("cbt-cn", "tost").file, "cbtest_CN_valid_2000ex.txt");
  EXPECT_EQ(published_set("cbt-ne", "gpt2-paper").file, "cbtest_NE_test_2500ex.txt");
  EXPECT_EQ(published_set("cbt-ne", "gpt2-paper").count, 2500);
}

TEST(Published, AnotherFileRaisesDoubts) {
  const PublishedSet ptb = published_set("ptb", "tost");
  const std::vector<TextItem> good = test::text_items(std::vector<std::string>(3761, " down N N to N <unk> "));
  EXPECT_TRUE(doubts_about(ptb, "ptb", good).empty());
  EXPECT_EQ(doubts_about(ptb, "ptb", std::span(good).first(5)).at(0), "ptb.test.txt has 3761 lines (found 5)");
  EXPECT_NE(doubts_about(ptb, "ptb", test::text_items({"a", "The cat"})).at(1).find("line 2 has upper case"), std::string::npos);
  const PublishedSet wikitext = published_set("wikitext2", "tost");
  EXPECT_EQ(doubts_about(wikitext, "wikitext2", test::text_items(std::vector<std::string>(4358, "a <unk>"))).size(), 1u);

  const PublishedSet accuracy = published_set("lambada", "tost"), loss = published_set("lambada", "tost-loss");
  const Passages json{.items = test::text_items(std::vector<std::string>(5153, "a, b.")), .json = true};
  const Passages plain{.items = test::text_items(std::vector<std::string>(5153, "a , b .")), .json = false};
  EXPECT_TRUE(doubts_about(accuracy, json).empty());
  EXPECT_TRUE(doubts_about(loss, plain).empty());
  EXPECT_EQ(doubts_about(accuracy, plain).size(), 1u);
  EXPECT_EQ(doubts_about(loss, json).size(), 2u);

  const ClozeQuestion question{.options = std::vector<std::string>(10, "a"), .line = 21}, odd{.options = {"a", "b"}, .line = 43};
  const PublishedSet cbt = published_set("cbt-cn", "tost");
  std::vector<ClozeQuestion> questions(2000, question);
  EXPECT_TRUE(doubts_about(cbt, questions).empty());
  questions.back() = odd;
  EXPECT_EQ(doubts_about(cbt, questions).at(0), "line 43 has 2 options, not 10");
}

}  // namespace
}  // namespace aot
