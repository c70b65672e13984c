// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aot {

/// The words with the separator between them.
inline std::string joined(const std::vector<std::string>& words, std::string_view separator = ", ") {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += separator;
    out += words[i];
  }
  return out;
}

constexpr std::string_view kAsciiSpaces = " \t\r\n\v\f";

/// `text` without those of `characters` at its ends.
inline std::string_view stripped(std::string_view text, std::string_view characters = kAsciiSpaces) {
  const size_t first = text.find_first_not_of(characters);
  return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(characters) - first + 1);
}

}  // namespace aot
