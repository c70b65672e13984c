// SPDX-License-Identifier: Apache-2.0
#include "aot/io/utf8.h"

#include <gtest/gtest.h>

namespace aot {
namespace {

TEST(Utf8, EveryCodePointSurvivesEncodingAndDecoding) {
  for (uint32_t code = 0; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Char c = decode_utf8(text, 0);
    ASSERT_TRUE(c.valid) << code;
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.bytes, text.size());
    ASSERT_EQ(find_invalid_utf8(text), std::string_view::npos);
  }
}

TEST(Utf8, OverlongSurrogateTooHighAndCutFormsAreRefusedAtTheirFirstByte) {
  for (const char* bad :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xe2\x28\xa1"}) {
    EXPECT_EQ(find_invalid_utf8(std::string("ab") + bad), 2u) << static_cast<int>(static_cast<uint8_t>(bad[0]));
    EXPECT_FALSE(decode_utf8(bad, 0).valid);
    EXPECT_EQ(decode_utf8(bad, 0).bytes, 1u);
  }
}

TEST(Utf8, ACompletePrefixNeverEndsInsideACharacter) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  const size_t ends[] = {0, 1, 3, 6, 10};
  for (size_t n = 0; n <= text.size(); ++n) {
    size_t want = 0;
    for (const size_t end : ends)
      if (end <= n) want = end;
    EXPECT_EQ(complete_utf8_prefix(std::string_view(text).substr(0, n)), want) << n;
  }
  EXPECT_EQ(complete_utf8_prefix("a\xff"), 2u) << "what can never become valid is not held back";
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4u);
}

}  // namespace
}  // namespace aot
