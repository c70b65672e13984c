// SPDX-License-Identifier: Apache-2.0
// A text file piece by piece, cut only where the caller allows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aot/io/file.h"

namespace aot {

class TextReader {
 public:
  static constexpr size_t kPieceBytes = 4u << 20;

  explicit TextReader(const std::string& path) : file_(path) {}

  /// Reads on; `piece` is valid until the next call. `cut(text)` tells how long a prefix of `text` may be taken, 0 when none may; a text of
  /// kPieceBytes without such a prefix is cut between two characters. False at the end.
  template <class Cut>
  bool next(std::string_view& piece, const Cut& cut) {
    if (!fill()) return false;
    size_t length = text_.size();
    if (read_ < file_.size()) {
      length = cut(std::string_view(text_));
      if (length == 0) length = character_cut();
    }
    taken_ = length;
    piece = std::string_view(text_).substr(0, length);
    return true;
  }
  [[nodiscard]] uint64_t size() const { return file_.size(); }

 private:
  bool fill();
  [[nodiscard]] size_t character_cut() const;

  InputFile file_;
  std::string text_;
  size_t taken_ = 0;  // of text_
  uint64_t read_ = 0;
};

}  // namespace aot
