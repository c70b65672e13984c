// SPDX-License-Identifier: Apache-2.0
// The scans by hand against PCRE2 running the published regular expressions.
#include "aot/data/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr SplitKind kKinds[] = {SplitKind::gpt2, SplitKind::cl100k, SplitKind::llama3, SplitKind::o200k};

std::vector<std::string> pieces_of(std::string_view text, SplitKind kind = SplitKind::gpt2) {
  std::vector<std::string> pieces;
  split_text(kind, text, [&pieces](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

/// The published expression with white space spelt out: PCRE2's \s also holds U+180E.
std::string for_pcre2(std::string_view regex) {
  const std::string space = R"(\t-\r\x20\x85\p{Z})";
  std::string out;
  bool in_brackets = false;
  for (size_t at = 0; at < regex.size(); ++at) {
    const std::string_view two = regex.substr(at, 2);
    if (two == R"(\s)") {
      out += in_brackets ? space : "[" + space + "]";
      ++at;
    } else if (two == R"(\S)") {
      out += "[^" + space + "]";
      ++at;
    } else {
      if (regex[at] == '[') in_brackets = true;
      if (regex[at] == ']') in_brackets = false;
      out += regex[at];
    }
  }
  return out;
}

class Reference {
 public:
  explicit Reference(SplitKind kind) {
    const std::string pattern = for_pcre2(split_regex(kind));
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY, &error, &offset, nullptr));
    (void)pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    block_.reset(pcre2_match_data_create(1, nullptr));
  }
  [[nodiscard]] std::vector<std::string> pieces_of(const std::string& text) const {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const int found =
          pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK, block_.get(), nullptr);
      const size_t end = found < 0 ? at : pcre2_get_ovector_pointer(block_.get())[1];
      if (end == at) return {"no match"};
      pieces.push_back(text.substr(at, end - at));
      at = end;
    }
    return pieces;
  }

 private:
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code_ = {nullptr, &pcre2_code_free};
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> block_ = {nullptr, &pcre2_match_data_free};
};

/// What the expressions turn on, and any code point.
std::string random_text(Random& random) {
  static const std::vector<std::string> parts = {
      " ",       " ",       "  ",     "\n",         "\r\n",   "\t",           "'",      "'s",     "'S",     "'ll",    "'lL",    "'VE",
      "'\u017f", "a",       "the",    "The",        "ABC",    "dZ",           "1",      "1234",   "\u00b2", "...",    "/",      "_",
      "\u00e9",  "E\u0301", "\u0301", "\u01c5",     "\u02b0", "\u4f60\u597d", "\u0645", "\u00aa", "\u1e9e", "\u00a0", "\u3000", "\u0085",
      "\u2028",  "\u180e",  "\u200b", "\U0001f642", "\u2167", "\x1c",         "\u0130"};
  std::string text;
  for (size_t count = 1 + random.below(12); count > 0; --count) {
    if (random.below(5) > 0) {
      text += parts[random.below(parts.size())];
      continue;
    }
    const auto code = static_cast<uint32_t>(random.below(random.below(2) == 0 ? 0x3000 : 0x20000));
    if (code < 0xd800 || code > 0xdfff) append_utf8(text, code);
  }
  return text;
}

TEST(SplitPattern, SplitsAsThePublishedExpressions) {
  for (const SplitKind kind : kKinds) {
    const Reference reference(kind);
    Random random(3);
    for (int i = 0; i < 20'000; ++i) {
      const std::string text = random_text(random);
      ASSERT_EQ(pieces_of(text, kind), reference.pieces_of(text)) << split_name(kind) << " " << escaped(text);
    }
  }
}

TEST(SplitPattern, EveryCodePointIsOfItsClass) {
  const Reference reference(SplitKind::o200k);
  std::string text;
  for (uint32_t code = 1; code < 0x110000; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    for (const char* after : {"A", "a ", "1"}) {  // tells all classes apart
      append_utf8(text, code);
      text += after;
    }
    if (text.size() < 4000 && code + 1 < 0x110000) continue;
    ASSERT_EQ(pieces_of(text, SplitKind::o200k), reference.pieces_of(text)) << "up to " << code;
    text.clear();
  }
}

TEST(SplitPattern, SplitsByHand) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(pieces_of("they're  here\n\nnow"), (Pieces{"they", "'re", " ", " here", "\n", "\n", "now"}));
  EXPECT_EQ(pieces_of("x=12 's 'll ''"), (Pieces{"x", "=", "12", " '", "s", " '", "ll", " ''"}));
  EXPECT_EQ(pieces_of("a   "), (Pieces{"a", "   "}));
  EXPECT_EQ(pieces_of("²½Ⅷ"), (Pieces{"²½Ⅷ"})) << "all numbers";
  EXPECT_EQ(pieces_of("a\u180e b"), (Pieces{"a", "\u180e", " b"})) << "no white space since Unicode 6.3";
  EXPECT_EQ(pieces_of("a\u0085\u3000b"), (Pieces{"a", "\u0085", "\u3000", "b"}));
  EXPECT_EQ(pieces_of("It'S 1234!\n\n  x", SplitKind::llama3), (Pieces{"It", "'S", " ", "123", "4", "!\n\n", " ", " x"}));
  EXPECT_EQ(pieces_of("a\n  ", SplitKind::llama3), (Pieces{"a", "\n", "  "}));
  EXPECT_EQ(pieces_of("a\n  ", SplitKind::cl100k), (Pieces{"a", "\n  "}));
  EXPECT_EQ(pieces_of("camelCase's HTTPServer", SplitKind::o200k), (Pieces{"camel", "Case's", " HTTPServer"}));
}

TEST(SplitPattern, CertainSplitsAreCertain) {
  Random random(4);
  int cuts = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_text(random);
    const size_t seen = random.below(text.size() + 1);
    const size_t cut = certain_split(std::string_view(text).substr(0, seen));
    if (cut == 0) continue;
    ++cuts;
    for (const SplitKind kind : kKinds) {
      std::vector<std::string> pieces = pieces_of(std::string_view(text).substr(0, cut), kind);
      for (const std::string& piece : pieces_of(std::string_view(text).substr(cut), kind)) pieces.push_back(piece);
      ASSERT_EQ(pieces, pieces_of(text, kind)) << split_name(kind) << " " << escaped(text) << " cut at " << cut;
    }
  }
  EXPECT_GT(cuts, 2000);
  EXPECT_EQ(certain_split("one two three"), 7u);
  EXPECT_EQ(certain_split("one two three", 6), 3u);
  EXPECT_EQ(certain_split("one two three", 3), 3u);
}

TEST(SplitPattern, NamesAndExpressionsBringTheKindBack) {
  for (const SplitKind kind : kKinds) {
    EXPECT_EQ(split_of_name(split_name(kind)), kind);
    EXPECT_EQ(split_of_regex(split_regex(kind)), kind);
  }
  EXPECT_EQ(split_of_name("gpt5"), std::nullopt);
  EXPECT_EQ(split_of_regex(R"(\w+)"), std::nullopt);
  EXPECT_EQ(split_of_regex(""), std::nullopt);
}

}  // namespace
}  // namespace aot
