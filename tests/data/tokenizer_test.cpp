// SPDX-License-Identifier: Apache-2.0
#include "aot/data/tokenizer.h"

#include <ctime>

#include <gtest/gtest.h>

#include "aot/io/tokenizer_json.h"
#include "tests/support/files.h"

namespace aot {
namespace {

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

TEST(ByteTokenizer, IdsAreTheBytesThemselves) {
  const TokenizerPtr tokenizer = make_byte_tokenizer();
  const std::vector<int32_t> ids = tokenizer->encode(all_bytes());
  ASSERT_EQ(ids.size(), 256u);
  for (int32_t i = 0; i < 256; ++i) EXPECT_EQ(ids[static_cast<size_t>(i)], i);
  EXPECT_EQ(tokenizer->decode(ids), all_bytes());
  EXPECT_EQ(tokenizer->vocab_size(), 256);
  EXPECT_EQ(tokenizer->end_of_text(), -1);
}

TEST(CharTokenizer, IdsAreInOrderOfCodePoint) {
  const TokenizerPtr tokenizer = make_char_tokenizer({U'€', U'b', U'a', U'b', U'\n', U'😀'});
  EXPECT_EQ(tokenizer->vocab_size(), 5);
  EXPECT_EQ(tokenizer->encode("ab\n€😀"), (std::vector<int32_t>{1, 2, 0, 3, 4}));
  EXPECT_EQ(tokenizer->decode({4, 3, 0}), "😀€\n");
}

TEST(CharTokenizer, AnUnknownCharacterIsNamedByLineAndColumn) {
  const TokenizerPtr tokenizer = make_char_tokenizer({U'a', U'\n', U'é'});
  expect_error(3, "line 2, column 3: U+20AC is not in the vocabulary", [&] { (void)tokenizer->encode("a\néa€"); });
}

TEST(CharTokenizer, InvalidUtf8IsNamedByLineAndByte) {
  const TokenizerPtr tokenizer = make_char_tokenizer({U'a', U'\n', U'é'});
  expect_error(3, "line 3, byte 4: not valid UTF-8", [&] { (void)tokenizer->encode("a\n\néa\xff"); });
  expect_error(3, "looks like UTF-16", [&] {
    (void)tokenizer->encode(
        std::string_view("\xff\xfe"
                         "a\0",
                         4));
  });
}

/// Bytes, then " a", "ab", " ab": enough to see ranks at work.
TokenizerPtr small_bpe(const TestFolder& folder) {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte) file.vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* token : {"ab", " ab", "aa", "aaaa", "<|endoftext|>"}) file.vocabulary.tokens.emplace_back(token);
  file.vocabulary.merges = {{'a', 'b', 256}, {' ', 256, 257}, {'a', 'a', 258}, {258, 258, 259}};
  file.vocabulary.special = {260};
  return read_tokenizer(folder.write("bpe.json", tokenizer_json_text(file)));
}

TEST(BpeTokenizer, StrongerMergesComeFirstAndLeftOnesBeforeRightOnes) {
  const TestFolder folder;
  const TokenizerPtr tokenizer = small_bpe(folder);
  EXPECT_EQ(tokenizer->encode("ab ab"), (std::vector<int32_t>{256, 257}));
  EXPECT_EQ(tokenizer->encode("aab"), (std::vector<int32_t>{'a', 256}));
  EXPECT_EQ(tokenizer->encode("aaaaaaa"), (std::vector<int32_t>{259, 258, 'a'}));
  EXPECT_EQ(tokenizer->end_of_text(), 260);
  EXPECT_EQ(tokenizer->encode("<|endoftext|>").size(), 13u) << "spelt out it is ordinary text";
}

TEST(BpeTokenizer, AnyBytesSurvive) {
  const TestFolder folder;
  const TokenizerPtr tokenizer = small_bpe(folder);
  uint32_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < round % 40; ++i) {
      state = state * 1664525u + 1013904223u;
      bytes += state >> 31 != 0 ? static_cast<char>(state >> 20) : "ab \n\xe2\x82\xac"[(state >> 24) % 7];
    }
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(bytes)), bytes);
  }
}

TEST(BpeTokenizer, CutsWhereThePatternSplitsInAnyCase) {
  const TestFolder folder;
  const TokenizerPtr tokenizer = small_bpe(folder);
  const std::string text = "ab ab  aa\n\n ab's \xe3\x80\x80 aab\xe2\x82\xac ab\t\xff ab aaaa ab";
  const std::vector<int32_t> whole = tokenizer->encode(text);
  for (size_t length = 1; length <= text.size(); ++length) {
    const size_t cut = tokenizer->safe_cut(std::string_view(text).substr(0, length));
    std::vector<int32_t> ids;
    tokenizer->encode(std::string_view(text).substr(0, cut), ids);
    tokenizer->encode(std::string_view(text).substr(cut), ids);
    EXPECT_EQ(ids, whole) << length << " cut at " << cut;
  }
  EXPECT_EQ(tokenizer->safe_cut("abcdef"), 0u);
  EXPECT_EQ(tokenizer->safe_cut("ab  cd"), 2u);
}

TEST(BpeTokenizer, OneMebibyteWithoutASpaceTakesBelowASecond) {
  const TestFolder folder;
  const TokenizerPtr tokenizer = small_bpe(folder);
  for (const char* unit : {"a", "ab", "aab"}) {
    std::string text;
    while (text.size() < 1u << 20) text += unit;
    const std::clock_t start = std::clock();  // of this process: neighbours do not count
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)).size(), text.size());
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 1.0) << unit;
  }
}

TEST(Tokenizer, AnIdOutsideTheVocabularyIsRefused) {
  expect_error(3, "id 256", [] { (void)make_byte_tokenizer()->decode({256}); });
  expect_error(3, "id -1", [] { (void)make_byte_tokenizer()->decode({-1}); });
}

TEST(Tokenizer, TokenizerJsonBringsTheSameTokenizerBack) {
  const TestFolder folder;
  for (const TokenizerPtr& tokenizer : {make_byte_tokenizer(), make_char_tokenizer({U'"', U'\\', U'\n', U'a', U'é', U'😀', 0})}) {
    const std::string path = folder.write("tokenizer.json", tokenizer->to_json());
    const TokenizerPtr again = read_tokenizer(path);
    EXPECT_EQ(again->kind(), tokenizer->kind());
    EXPECT_EQ(again->to_json(), tokenizer->to_json());
    for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) EXPECT_EQ(again->bytes_of(id), tokenizer->bytes_of(id)) << id;
    EXPECT_EQ(open_tokenizer(folder.path())->to_json(), tokenizer->to_json()) << "a folder that holds it";
  }
}

}  // namespace
}  // namespace aot
