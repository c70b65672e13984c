// SPDX-License-Identifier: Apache-2.0
#include "aot/data/text_reader.h"

#include <algorithm>

#include "aot/io/utf8.h"

namespace aot {

bool TextReader::fill() {
  text_.erase(0, taken_);
  taken_ = 0;
  const size_t kept = text_.size();
  const size_t more = static_cast<size_t>(std::min<uint64_t>(kPieceBytes - std::min(kPieceBytes, kept), file_.size() - read_));
  text_.resize(kept + more);
  file_.read_at(read_, text_.data() + kept, more);
  read_ += more;
  if (more > 0 && read_ == file_.size()) file_.check_unchanged();
  return !text_.empty();
}

size_t TextReader::character_cut() const {
  const size_t length = complete_utf8_prefix(text_);
  return length == 0 ? text_.size() : length;
}

}  // namespace aot
