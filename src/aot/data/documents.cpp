// SPDX-License-Identifier: Apache-2.0
#include "aot/data/documents.h"

#include "aot/io/error.h"

namespace aot {

DocumentReader::DocumentReader(const TextSource& source, const std::string& field) {
  if (field.empty())
    text_.emplace(source.path);
  else
    lines_.emplace(source.path, source.shown(), field);
  if ((lines_ ? lines_->size() : text_->size()) != source.bytes) throw FileError(source.shown(), "", "changed while being read");
}

bool DocumentReader::next_lines(std::vector<TextPart>& parts) {
  size_t bytes = 0, count = 0;
  for (; bytes < TextReader::kPieceBytes; ++count) {
    if (count == texts_.size()) texts_.emplace_back();
    if (!lines_->next(texts_[count])) break;
    bytes += texts_[count].size() + 64;  // the string itself counts too
  }
  for (size_t i = 0; i < count; ++i) parts.push_back({texts_[i], true});
  return count > 0;
}

}  // namespace aot
