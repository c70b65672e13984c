// SPDX-License-Identifier: Apache-2.0
// The documents of a source: a text file is one, or, with a field, each line of a file of JSON lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aot/data/json_lines.h"
#include "aot/data/sources.h"
#include "aot/data/text_reader.h"

namespace aot {

/// A document, or the next part of one that is too long to be read at once.
struct TextPart {
  std::string_view text;
  bool starts = false;  // a document
};

class DocumentReader {
 public:
  /// `source` and `field` must outlive this; an empty field: a text file.
  DocumentReader(const TextSource& source, const std::string& field);

  /// Reads on, about TextReader::kPieceBytes; the parts are valid until the next call. `cut` as TextReader::next takes it. False at the
  /// end.
  template <class Cut>
  bool next(std::vector<TextPart>& parts, const Cut& cut) {
    parts.clear();
    if (lines_) return next_lines(parts);
    std::string_view piece;
    const bool starts = bytes_read() == 0;
    if (!text_->next(piece, cut)) return false;
    bytes_read_ += piece.size();
    parts.push_back({piece, starts});
    return true;
  }
  [[nodiscard]] uint64_t bytes_read() const { return lines_ ? lines_->bytes_read() : bytes_read_; }

 private:
  bool next_lines(std::vector<TextPart>& parts);

  std::optional<TextReader> text_;
  std::optional<JsonLines> lines_;
  std::vector<std::string> texts_;
  uint64_t bytes_read_ = 0;
};

}  // namespace aot
