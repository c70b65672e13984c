// SPDX-License-Identifier: Apache-2.0
// Where in a text something is wrong, also when the text comes in pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aot {

/// Counts lines over the pieces of a text.
class TextPlace {
 public:
  /// Goes on over `text`, which must not end inside a character.
  void pass(std::string_view text);
  /// "line 3, byte 17": both from 1, the byte within its line.
  [[nodiscard]] std::string byte_text() const;
  /// "line 2, column 9": both from 1, counted in characters.
  [[nodiscard]] std::string column_text() const;

 private:
  int64_t line_ = 1, byte_ = 1, column_ = 1;
};

/// "not valid UTF-8", or what the bytes look like instead: "not valid UTF-8: looks like UTF-16".
std::string invalid_utf8_text(std::string_view start_of_text);
/// "U+20AC is not in the vocabulary".
std::string unknown_character_text(uint32_t code);

}  // namespace aot
