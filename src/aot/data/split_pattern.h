// SPDX-License-Identifier: Apache-2.0
// The division of text into pieces, which merges never cross.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "aot/io/split_kind.h"
#include "aot/io/utf8.h"

namespace aot {

/// End of the piece that starts at `at`: what the kind's regular expression (io/split_kind.cpp) matches there. In time linear in the text
/// over all pieces. REQUIRES: valid UTF-8, at < text.size().
size_t end_of_piece(SplitKind kind, std::string_view text, size_t at);

/// Calls piece(string_view) for each piece of `text` in order; together they are the text. REQUIRES: valid UTF-8.
template <class Piece>
void split_text(SplitKind kind, std::string_view text, const Piece& piece) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of_piece(kind, text, at);
    piece(text.substr(at, end - at));
    at = end;
  }
}

/// The same for any bytes: each run of bytes that are not valid UTF-8 is a piece of its own.
template <class Piece>
void split_bytes(SplitKind kind, std::string_view text, const Piece& piece) {
  while (!text.empty()) {
    const size_t valid = std::min(find_invalid_utf8(text), text.size());
    split_text(kind, text.substr(0, valid), piece);
    size_t end = valid;
    while (end < text.size() && !decode_utf8(text, end).valid) ++end;
    if (end > valid) piece(text.substr(valid, end - valid));
    text.remove_prefix(end);
  }
}

/// Length of the longest prefix of `text`, of `before` bytes at most, that ends between a character and an ASCII white space after it where
/// every kind splits whatever follows, and where no piece before it depends on what follows. 0 when there is no such place.
size_t certain_split(std::string_view text, size_t before = std::string_view::npos);

}  // namespace aot
