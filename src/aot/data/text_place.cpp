// SPDX-License-Identifier: Apache-2.0
#include "aot/data/text_place.h"

#include <algorithm>
#include <cstdio>

#include "aot/io/error.h"
#include "aot/io/file.h"

namespace aot {

void TextPlace::pass(std::string_view text) {
  const size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) {
    line_ += std::count(text.begin(), text.end(), '\n');
    byte_ = column_ = 1;
    text.remove_prefix(newline + 1);
  }
  byte_ += static_cast<int64_t>(text.size());
  column_ += std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string TextPlace::byte_text() const {
  return str("line ", line_, ", byte ", byte_);
}

std::string TextPlace::column_text() const {
  return str("line ", line_, ", column ", column_);
}

std::string invalid_utf8_text(std::string_view start_of_text) {
  const std::string_view kind = looks_like(start_of_text);
  return kind.empty() ? "not valid UTF-8" : str("not valid UTF-8: looks like ", kind);
}

std::string unknown_character_text(uint32_t code) {
  char name[16];
  std::snprintf(name, sizeof name, "U+%04X", code);
  return str(name, " is not in the vocabulary");
}

}  // namespace aot
