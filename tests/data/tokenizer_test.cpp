// SPDX-License-Identifier: Apache-2.0
#include "aot/data/tokenizer.h"

#include <gtest/gtest.h>

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
