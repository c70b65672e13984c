// SPDX-License-Identifier: Apache-2.0
// Ids and merges that Python's `tokenizers` and `tiktoken` gave: tests/golden/llama3_bpe/make.py.
#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/data/bpe_trainer.h"
#include "aot/data/encoder_team.h"
#include "aot/data/tokenizer.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "tests/support/files.h"

namespace aot {
namespace {

std::string golden(const std::string& name) {
  const char* source = std::getenv("AOT_SOURCE");
  return std::string(source == nullptr ? "." : source) + "/tests/golden/" + name;
}

Json golden_json(const std::string& name) {
  return parse_json(read_file(golden(name), 1 << 20), name);
}

const Tokenizer& llama3() {
  static const TokenizerPtr tokenizer = open_tokenizer(golden("llama3_bpe/tokenizer.json"));
  return *tokenizer;
}

/// The text that the vocabularies were trained on: the longest one with ids of small_bpe.
std::string training_text() {
  std::string longest;
  for (const Json& one : golden_json("small_bpe/ids.json"))
    if (one["text"].get<std::string>().size() > longest.size()) longest = one["text"].get<std::string>();
  return longest;
}

TEST(GoldenTokenizers, TheIdsOfPythonsTokenizersInLlama3sForm) {
  const Json cases = golden_json("llama3_bpe/ids.json");
  ASSERT_GT(cases.size(), 80u);
  for (const Json& one : cases) {
    const std::string text = one["text"].get<std::string>();
    std::vector<int32_t> ids;
    llama3().encode_with_special(text, ids);
    EXPECT_EQ(ids, one["tokenizers"].get<std::vector<int32_t>>()) << escaped(text);
    EXPECT_EQ(llama3().decode(llama3().encode(text)), text);
  }
}

TEST(GoldenTokenizers, TheIdsOfTiktoken) {
  for (const std::string pattern : {"gpt2", "cl100k", "llama3", "o200k"}) {
    const TokenizerPtr tokenizer = open_tokenizer("tiktoken:" + golden("llama3_bpe/small.tiktoken:") + pattern);
    const TestFolder folder;
    const TokenizerPtr again = read_tokenizer(folder.write("tokenizer.json", tokenizer->to_json()));
    for (const Json& one : golden_json("llama3_bpe/ids.json")) {
      const std::string text = one["text"].get<std::string>();
      EXPECT_EQ(tokenizer->encode(text), one[pattern].get<std::vector<int32_t>>()) << pattern << " " << escaped(text);
      EXPECT_EQ(again->encode(text), tokenizer->encode(text)) << escaped(text);
    }
  }
}

TEST(GoldenTokenizers, TheMergesOfPythonsTrainer) {
  BpeTrainer trainer;
  trainer.add(training_text());
  const BpeFiles trained = trainer.train(601)->vocabulary;  // one more than theirs: <|endoftext|>
  std::vector<std::vector<std::string>> merges;
  for (const BpeMerge& merge : trained.merges)
    merges.push_back({to_byte_alphabet(trained.tokens[static_cast<size_t>(merge.left)]),
                      to_byte_alphabet(trained.tokens[static_cast<size_t>(merge.right)])});
  EXPECT_EQ(merges, golden_json("llama3_bpe/trained.json").get<std::vector<std::vector<std::string>>>());
}

TEST(AddedTokens, AreFoundBeforeSplittingAndStandForTheirText) {
  const auto texts_of = [](std::string_view text) {
    std::vector<std::string> texts;
    for (const int32_t id : llama3().encode(text)) texts.emplace_back(llama3().bytes_of(id));
    return texts;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(texts_of("x<tool>y"), (Texts{"x", "<tool>", "y"}));
  EXPECT_EQ(texts_of("<tools>"), (Texts{"<tools>"})) << "the longest";
  EXPECT_EQ(texts_of("x   y"), (Texts{"x", "  ", " ", "y"})) << "normalized";
  // Special ones are text unless asked for.
  const std::vector<int32_t> ids = llama3().encode("<|endoftext|>");
  EXPECT_GT(ids.size(), 1u);
  EXPECT_EQ(llama3().decode(ids), "<|endoftext|>");
  std::vector<int32_t> special;
  llama3().encode_with_special("<|endoftext|>", special);
  EXPECT_EQ(special, std::vector<int32_t>{llama3().end_of_text()});
}

TEST(AddedTokens, NoCutGoesThroughOne) {
  std::string json = llama3().to_json();
  const size_t at = json.find("\"content\":\"<tools>\"");
  ASSERT_NE(at, std::string::npos);
  json.replace(at, 19, "\"content\":\"a b c\"");
  const size_t spelt = json.find("\"<tools>\":");
  ASSERT_NE(spelt, std::string::npos);
  json.replace(spelt, 10, "\"a b c\":");
  const TestFolder folder;
  const TokenizerPtr tokenizer = read_tokenizer(folder.write("tokenizer.json", json));
  EXPECT_EQ(tokenizer->safe_cut("x y a b c"), 3u);
  EXPECT_EQ(tokenizer->safe_cut("x y z b d"), 7u);
  Random random(8);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (int n = 0; n < 12; ++n) text += std::vector<std::string>{"a", " ", "b", " c", "a b", "  ", "<tool>", "<", "!\n"}[random.below(9)];
    const size_t cut = tokenizer->safe_cut(std::string_view(text).substr(0, text.size() / 2));
    std::vector<int32_t> ids = tokenizer->encode(std::string_view(text).substr(0, cut));
    tokenizer->encode(std::string_view(text).substr(cut), ids);
    ASSERT_EQ(ids, tokenizer->encode(text)) << escaped(text) << " cut at " << cut;
  }
}

TEST(EncoderTeam, AnyNumberOfThreadsGivesTheSameIds) {
  std::string text;
  Random random(9);
  while (text.size() < 3'000'000) text += training_text().substr(random.below(500)) + "<tool>\xff";
  const std::vector<int32_t> expected = llama3().encode(text);
  for (const int64_t threads : {1, 2, 5}) EXPECT_EQ(encode_by_threads(llama3(), text, threads), expected) << threads;
  const std::string no_cut(1'000'000, 'x');
  EXPECT_EQ(encode_by_threads(llama3(), no_cut, 3), llama3().encode(no_cut));
}

TEST(EncoderTeam, SeparatorsStandBeforeDocuments) {
  const TokenizerPtr bytes = make_byte_tokenizer();
  EncoderTeam team(*bytes, 2);
  const std::string large(600'000, 'x');
  std::vector<int32_t> ids;
  const std::vector<TextPart> parts = {{"ab", false}, {"", true}, {large, true}, {"c", false}, {"d", true}};
  for (int i = 0; i < 2; ++i) {  // a team works more than once
    ids.clear();
    team.encode(parts, {10}, [&](const std::vector<int32_t>& more) { ids.insert(ids.end(), more.begin(), more.end()); });
    EXPECT_EQ(bytes->decode(ids), "ab\n\n" + large + "c\nd");
  }
}

TEST(EncoderTeam, ARefusedTextIsNamedByItsPlace) {
  const TokenizerPtr letters = make_char_tokenizer({'\n', 'a'});
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "aaa\n";
  text += "aab";
  expect_error(3, "line 200001, column 3: U+0062", [&] { encode_by_threads(*letters, text, 2); });
}

TEST(BpeTrainer, TiesGoToTheSmallerIds) {
  BpeTrainer trainer;
  trainer.add("xy xy ab ab");  // " a", " x", "ab", "xy" twice... the pairs with the least ids first
  const BpeFiles files = trainer.train(300)->vocabulary;
  std::vector<std::string> made;
  for (size_t id = 256; id + 1 < files.tokens.size(); ++id) made.push_back(files.tokens[id]);
  EXPECT_EQ(made, (std::vector<std::string>{"ab", "xy", " ab"}));
  EXPECT_EQ(files.tokens[0], "!");
  EXPECT_EQ(files.tokens.back(), "<|endoftext|>");
}

TEST(BpeTrainer, OrderOfTextsDoesNotMatter) {
  const std::string text = training_text();
  const size_t half = text.find(' ', text.size() / 2);
  BpeTrainer one, other;
  one.add(text);
  other.add(text.substr(half));
  other.add(text.substr(0, half));
  EXPECT_EQ(tokenizer_json_text(*one.train(500)), tokenizer_json_text(*other.train(500)));
}

TEST(BpeTrainer, HostileTextGivesAVocabularyThatIsRead) {
  BpeTrainer trainer;
  std::string text(1 << 20, 'a');
  text += std::string("\xff\xff\xff\0\0", 5) + std::string(100'000, ' ');
  trainer.add(text);
  const TokenizerFile file = *trainer.train(2000);
  EXPECT_NO_THROW(parse_tokenizer_json(tokenizer_json_text(file), "tokenizer.json"));
  for (const std::string& token : file.vocabulary.tokens) EXPECT_LE(token.size(), 512u);
}

}  // namespace
}  // namespace aot
