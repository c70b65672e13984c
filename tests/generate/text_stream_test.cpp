// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/text_stream.h"

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

/// The pieces that come out when `bytes` go in as tokens of random lengths 1..4.
std::vector<std::string> streamed(const std::string& bytes, const std::vector<std::string>& stop, Random& random) {
  TextStream stream(stop);
  std::vector<std::string> pieces;
  for (size_t at = 0; at < bytes.size() && !stream.stopped();) {
    const size_t length = 1 + random.below(4);
    pieces.push_back(stream.push(std::string_view(bytes).substr(at, length)));
    at += length;
  }
  pieces.push_back(stream.finish());
  return pieces;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const auto& piece : pieces) all += piece;
  return all;
}

TEST(ReplaceInvalidUtf8, OneReplacementPerMaximalPart) {
  EXPECT_EQ(replace_invalid_utf8("plain é €"), "plain é €");
  EXPECT_EQ(replace_invalid_utf8("a\xff"
                                 "b"),
            "a\ufffdb");
  EXPECT_EQ(replace_invalid_utf8("\xe2\x82"
                                 "b"),
            "\ufffdb");                                                   // a cut character is one part
  EXPECT_EQ(replace_invalid_utf8("\xf0\x9f\x98"), "\ufffd");              // also at the end
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), "\ufffd\ufffd");            // overlong: no byte begins a character
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // surrogate
  EXPECT_EQ(replace_invalid_utf8("\xf0\x80\x80\x41"), "\ufffd\ufffd\ufffd\x41");
  EXPECT_EQ(replace_invalid_utf8("\x80\x80"), "\ufffd\ufffd");
}

TEST(TextStream, HoldsACharacterUntilItIsWhole) {
  TextStream stream({});
  EXPECT_EQ(stream.push("a\xe2"), "a");
  EXPECT_EQ(stream.push("\x82"), "");
  EXPECT_EQ(stream.push("\xac!"), "€!");
  EXPECT_EQ(stream.push("\xf0\x9f"), "");
  EXPECT_EQ(stream.finish(), "\ufffd");
}

TEST(TextStream, StopStringsAcrossTokensAreNeverShown) {
  TextStream stream({"STOP"});
  EXPECT_EQ(stream.push("one S"), "one ");
  EXPECT_EQ(stream.push("T"), "");
  EXPECT_EQ(stream.push("SSTO"), "STS");  // what was held turned out to be text
  EXPECT_EQ(stream.push("Prest"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ABeginningOfAStopStringIsTextWhenNothingFollows) {
  TextStream stream({"\n\n"});
  EXPECT_EQ(stream.push("line\n"), "line");
  EXPECT_EQ(stream.finish(), "\n");
  EXPECT_FALSE(stream.stopped());
}

TEST(TextStream, TheFirstToBeCompleteCountsAndOfThoseTheLongest) {
  Random random(1);
  EXPECT_EQ(joined(streamed("xabcdef", {"abcdef", "cd"}, random)), "xab");
  EXPECT_EQ(joined(streamed("xabcdef", {"d", "bcd"}, random)), "xa");
  EXPECT_EQ(joined(streamed("aaaa", {"aa"}, random)), "");
  EXPECT_EQ(joined(streamed("abab", {"abc"}, random)), "abab");
}

TEST(TextStream, EmptyStopStringsAreRefused) {
  EXPECT_THROW(TextStream({"a", ""}), UsageError);
}

TEST(TextStream, RandomBytesGiveValidPiecesThatJoinToTheWhole) {
  Random random(3);
  const unsigned char alphabet[] = {0x00, 'a', 'b', 0x80, 0x82, 0xac, 0x9f, 0x98, 0xc3, 0xa9, 0xe2, 0xed, 0xa0, 0xf0, 0xf4, 0xff};
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    for (uint64_t n = random.below(12); n > 0; --n) bytes += static_cast<char>(alphabet[random.below(sizeof alphabet)]);
    const auto pieces = streamed(bytes, {}, random);
    for (const auto& piece : pieces) ASSERT_EQ(find_invalid_utf8(piece), std::string_view::npos);
    ASSERT_EQ(joined(pieces), replace_invalid_utf8(bytes));
  }
}

TEST(TextStream, TheCutIntoTokensDoesNotMatterToStopStrings) {
  Random random(4);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    for (uint64_t n = random.below(16); n > 0; --n) bytes += "ab\xc3\xa9"[random.below(4)];
    const std::vector<std::string> stop = {"aba", "bb",
                                           "\xc3\xa9"
                                           "a",
                                           "abab"};
    // By hand: the shortest beginning of the bytes that ends in a stop string, less the longest such.
    std::string wanted = bytes;
    bool found = false;
    for (size_t end = 1; end <= bytes.size() && !found; ++end)
      for (const char* text : {"abab", "aba",
                               "\xc3\xa9"
                               "a",
                               "bb"})
        if (!found && bytes.substr(0, end).ends_with(text)) {
          found = true;
          wanted = bytes.substr(0, end - std::string(text).size());
        }
    ASSERT_EQ(joined(streamed(bytes, stop, random)), replace_invalid_utf8(wanted));
  }
}

}  // namespace
}  // namespace aot
