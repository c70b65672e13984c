// SPDX-License-Identifier: Apache-2.0
// UTF-8 as Unicode 3.9 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace aot {

struct Utf8Char {
  uint32_t code = 0;  // code point, meaningless when not valid
  size_t bytes = 1;   // bytes to go on by; 1 when not valid
  bool valid = false;
};

/// The code point that starts at `text[at]`. REQUIRES: at < text.size().
Utf8Char decode_utf8(std::string_view text, size_t at);

/// Offset of the first byte that is not part of valid UTF-8, or `std::string_view::npos`.
size_t find_invalid_utf8(std::string_view text);

/// Appends the UTF-8 form of `code`. REQUIRES: a code point that is no surrogate.
void append_utf8(std::string& out, uint32_t code);

/// Length of the longest prefix of `text` that does not end inside a (so far valid) character: what a stream may print.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace aot
