// SPDX-License-Identifier: Apache-2.0
// What kind of character a code point is, as far as splitting asks. Not for use outside this room.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aot {

/// By Unicode's general category; U+180E is no white space (Unicode 6.3).
enum class CharacterClass : uint8_t {
  other,
  mark,     // M
  number,   // N
  space,    // White_Space but for the next
  newline,  // \r, \n
  upper,    // Lu, Lt
  lower,    // Ll
  letter,   // Lm, Lo
};

/// A set of classes.
using ClassSet = uint32_t;
constexpr ClassSet set_of(CharacterClass kind) {
  return 1u << static_cast<uint32_t>(kind);
}
constexpr ClassSet kLetters = set_of(CharacterClass::upper) | set_of(CharacterClass::lower) | set_of(CharacterClass::letter);
constexpr ClassSet kNumbers = set_of(CharacterClass::number);
constexpr ClassSet kNewlines = set_of(CharacterClass::newline);
constexpr ClassSet kSpaces = set_of(CharacterClass::space) | kNewlines;
constexpr ClassSet kOthers = set_of(CharacterClass::other) | set_of(CharacterClass::mark);

struct Character {
  CharacterClass kind = CharacterClass::other;
  uint8_t bytes = 1;
  [[nodiscard]] bool is_in(ClassSet set) const { return (set >> static_cast<uint32_t>(kind) & 1) != 0; }
};

constexpr std::array<CharacterClass, 128> ascii_classes() {
  std::array<CharacterClass, 128> classes = {};
  for (size_t c = 0; c < 128; ++c) {
    if (c >= 'a' && c <= 'z') classes[c] = CharacterClass::lower;
    if (c >= 'A' && c <= 'Z') classes[c] = CharacterClass::upper;
    if (c >= '0' && c <= '9') classes[c] = CharacterClass::number;
    if (c == ' ' || (c >= '\t' && c <= '\r')) classes[c] = CharacterClass::space;
    if (c == '\r' || c == '\n') classes[c] = CharacterClass::newline;
  }
  return classes;
}
inline constexpr std::array<CharacterClass, 128> kAsciiClasses = ascii_classes();

/// The same for a character of several bytes. PCRE2 tells the categories, so its version of Unicode counts (14 in 10.42).
Character wide_character_at(std::string_view text, size_t at);

/// REQUIRES: a character of valid UTF-8 starts at `at`.
inline Character character_at(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  return byte < 128 ? Character{kAsciiClasses[byte], 1} : wide_character_at(text, at);
}

}  // namespace aot
