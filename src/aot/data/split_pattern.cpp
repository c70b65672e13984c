// SPDX-License-Identifier: Apache-2.0
#include "aot/data/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

// White space is spelt out: PCRE2's \s also holds U+180E, which Unicode took out of it in 6.3 and other programs do not split at.
#define AOT_SPACE R"(\t-\r\x20\x85\p{Z})"
constexpr char kPattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" AOT_SPACE R"(\p{L}\p{N}]+|[)" AOT_SPACE
                            R"(]+(?![^)" AOT_SPACE R"(])|[)" AOT_SPACE R"(]+)";
#undef AOT_SPACE

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// White_Space above ASCII, which is what the pattern calls white space.
bool is_wide_space(uint32_t code) {
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
         code == 0x202f || code == 0x205f || code == 0x3000;
}

/// Whether a whole character that is no white space ends at `end`.
bool ends_in_no_space(std::string_view text, size_t end) {
  if (end == 0) return false;
  if (static_cast<unsigned char>(text[end - 1]) < 0x80) return !is_ascii_space(text[end - 1]);
  size_t start = end - 1;
  while (start > 0 && end - start < 4 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
  const Utf8Char c = decode_utf8(text, start);
  return c.valid && start + c.bytes == end && !is_wide_space(c.code);
}

}  // namespace

struct SplitPattern::Code {
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, Free> compiled;
  bool has_jit = false;
};

struct SplitPattern::Matcher::Block {
  struct Free {
    void operator()(pcre2_match_data* block) const { pcre2_match_data_free(block); }
  };
  std::unique_ptr<pcre2_match_data, Free> data;
};

SplitPattern::SplitPattern() : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), sizeof kPattern - 1, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED,
                                      &error, &offset, nullptr));
  if (!code_->compiled) throw Error(ExitCode::failed, str("PCRE2 refuses the split pattern at ", offset, " (error ", error, ")"));
  code_->has_jit = pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE) == 0;
}

SplitPattern::~SplitPattern() = default;

SplitPattern::Matcher::Matcher(const SplitPattern& pattern, std::string_view text)
    : code_(*pattern.code_), text_(text), block_(std::make_unique<Block>()) {
  block_->data.reset(pcre2_match_data_create(1, nullptr));
  if (!block_->data) throw std::bad_alloc();
}

SplitPattern::Matcher::~Matcher() = default;

size_t SplitPattern::Matcher::end_of_piece(size_t at) {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  const auto match = code_.has_jit ? pcre2_jit_match : pcre2_match;
  const int found = match(code_.compiled.get(), subject, text_.size(), at, PCRE2_NO_UTF_CHECK, block_->data.get(), nullptr);
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(block_->data.get());
  if (found < 1 || bounds[1] <= at) throw Error(ExitCode::failed, str("PCRE2 cannot split text at byte ", at, " (error ", found, ")"));
  return bounds[1];
}

size_t certain_split(std::string_view text) {
  for (size_t at = text.size(); at-- > 1;)
    if (is_ascii_space(text[at]) && ends_in_no_space(text, at)) return at;
  return 0;
}

}  // namespace aot
