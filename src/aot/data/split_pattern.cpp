// SPDX-License-Identifier: Apache-2.0
// The regular expressions by hand: alternatives are tried in their order, and each scan goes back only where the expression would.
#include "aot/data/split_pattern.h"

#include <algorithm>

#include "aot/data/character_class.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr ClassSet kMarks = set_of(CharacterClass::mark), kCaseless = set_of(CharacterClass::letter) | kMarks;
constexpr ClassSet kFirstOfWord = set_of(CharacterClass::upper) | kCaseless;  // o200k: what a word begins with
constexpr ClassSet kRestOfWord = set_of(CharacterClass::lower) | kCaseless;   // o200k: what follows

size_t end_of_run(std::string_view text, size_t at, ClassSet set) {
  while (at < text.size()) {
    const Character c = character_at(text, at);
    if (!c.is_in(set)) break;
    at += c.bytes;
  }
  return at;
}

/// End of a run of `limit` characters at most.
size_t end_of_run(std::string_view text, size_t at, ClassSet set, int limit) {
  for (; at < text.size() && limit > 0; --limit) {
    const Character c = character_at(text, at);
    if (!c.is_in(set)) break;
    at += c.bytes;
  }
  return at;
}

bool is_in(std::string_view text, size_t at, ClassSet set) {
  return at < text.size() && character_at(text, at).is_in(set);
}

/// End of 's 't 're 've 'm 'll 'd at `at`, or `at`. Of any case: U+017F is an s too.
size_t end_of_contraction(std::string_view text, size_t at, bool any_case) {
  if (at + 1 >= text.size() || text[at] != '\'') return at;
  const auto letter = [&](size_t place) {
    const char c = place < text.size() ? text[place] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(at + 1), second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
  if (first == 'l' && second == 'l') return at + 3;
  if (any_case && text.substr(at + 1, 2) == "\xc5\xbf") return at + 3;
  return at;
}

/// \s+(?!\S)|\s+ over a run of white space: all of it at the end of the text, else all but its last character, which the next piece may
/// take.
size_t end_of_space(std::string_view text, size_t at, size_t end_of_spaces) {
  if (end_of_spaces == text.size()) return end_of_spaces;
  size_t last = end_of_spaces - 1;
  while ((static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
  return last > at ? last : end_of_spaces;
}

size_t end_of_gpt2(std::string_view text, size_t at) {
  if (const size_t end = end_of_contraction(text, at, false); end > at) return end;
  const size_t start = text[at] == ' ' ? at + 1 : at;
  if (start < text.size()) {
    const Character first = character_at(text, start);
    for (const ClassSet set : {kLetters, kNumbers, kOthers})
      if (first.is_in(set)) return end_of_run(text, start + first.bytes, set);
  }
  return end_of_space(text, at, end_of_run(text, at, kSpaces));
}

/// What cl100k, llama3 and o200k share after words: numbers, other characters with what may follow them, and white space.
size_t end_of_no_word(SplitKind kind, std::string_view text, size_t at) {
  if (const size_t end = end_of_run(text, at, kNumbers, 3); end > at) return end;
  const size_t start = text[at] == ' ' ? at + 1 : at;
  if (size_t end = end_of_run(text, start, kOthers); end > start) {
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n' || (kind == SplitKind::o200k && text[end] == '/'))) ++end;
    return end;
  }
  const size_t end = end_of_run(text, at, kSpaces);
  if (kind == SplitKind::cl100k && end == text.size()) return end;
  const size_t newline = text.substr(at, end - at).find_last_of("\r\n");
  return newline != std::string_view::npos ? at + newline + 1 : end_of_space(text, at, end);
}

size_t end_of_llama3(SplitKind kind, std::string_view text, size_t at) {
  if (const size_t end = end_of_contraction(text, at, true); end > at) return end;
  const Character first = character_at(text, at);
  if (first.is_in(kLetters)) return end_of_run(text, at + first.bytes, kLetters);
  if (!first.is_in(kNewlines | kNumbers) && is_in(text, at + first.bytes, kLetters)) return end_of_run(text, at + first.bytes, kLetters);
  return end_of_no_word(kind, text, at);
}

/// Capitals* small+ from `start`, where characters without case count as both; `start` when there is none.
size_t end_of_small_word(std::string_view text, size_t start) {
  const size_t capitals = end_of_run(text, start, kFirstOfWord);
  const size_t end = end_of_run(text, capitals, kRestOfWord);
  if (end > capitals) return end;
  // Nothing small follows: the last character without case ends the word.
  size_t last = start;
  for (size_t at = start; at < capitals;) {
    const Character c = character_at(text, at);
    at += c.bytes;
    if (c.is_in(kCaseless)) last = at;
  }
  return last;
}

/// Capitals+ small* from `start`; `start` when there is none.
size_t end_of_capital_word(std::string_view text, size_t start) {
  const size_t capitals = end_of_run(text, start, kFirstOfWord);
  return capitals == start ? start : end_of_run(text, capitals, kRestOfWord);
}

size_t end_of_o200k(std::string_view text, size_t at) {
  const Character first = character_at(text, at);
  // A mark may stand before a word or belong to it.
  const size_t after = first.is_in(kNewlines | kNumbers | kLetters) ? at : at + first.bytes;
  for (const auto& end_of_word : {end_of_small_word, end_of_capital_word})
    for (const size_t start : {after, at})
      if (const size_t end = end_of_word(text, start); end > start) return end_of_contraction(text, end, true);
  return end_of_no_word(SplitKind::o200k, text, at);
}

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Whether a whole character that is no white space ends at `end`.
bool ends_in_no_space(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && end - start < 4 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
  const Utf8Char c = decode_utf8(text, start);
  return c.valid && start + c.bytes == end && !character_at(text, start).is_in(kSpaces);
}

bool is_ascii_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 128 && Character{kAsciiClasses[byte]}.is_in(kLetters | kNumbers);
}

}  // namespace

size_t end_of_piece(SplitKind kind, std::string_view text, size_t at) {
  switch (kind) {
    case SplitKind::gpt2:
      return end_of_gpt2(text, at);
    case SplitKind::cl100k:
    case SplitKind::llama3:
      return end_of_llama3(kind, text, at);
    case SplitKind::o200k:
      break;
  }
  return end_of_o200k(text, at);
}

size_t certain_split(std::string_view text, size_t before) {
  for (size_t at = before < text.size() ? before + 1 : text.size(); at-- > 1;) {
    if (!is_ascii_space(text[at])) continue;
    // A line feed may belong to punctuation before it.
    const bool is_newline = text[at] == '\n' || text[at] == '\r';
    if (is_newline ? is_ascii_word(text[at - 1]) : ends_in_no_space(text, at)) return at;
  }
  return 0;
}

}  // namespace aot
