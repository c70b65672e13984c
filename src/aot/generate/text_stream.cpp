// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/text_stream.h"

#include <algorithm>

#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t invalid = find_invalid_utf8(bytes.substr(at));
    const size_t valid = std::min(invalid, bytes.size() - at);
    text += bytes.substr(at, valid);
    at += valid;
    if (at == bytes.size()) break;
    size_t part = 1;  // grows while the bytes are the beginning of some character
    while (at + part < bytes.size() && complete_utf8_prefix(bytes.substr(at, part + 1)) == 0) ++part;
    append_utf8(text, 0xfffd);
    at += part;
  }
  return text;
}

TextStream::TextStream(std::vector<std::string> stop) : stop_(std::move(stop)) {
  for (const std::string& text : stop_)
    if (text.empty()) throw UsageError("--stop: a stop string must not be empty");
  std::sort(stop_.begin(), stop_.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

std::string TextStream::take(size_t bytes) {
  std::string text = replace_invalid_utf8(std::string_view(held_).substr(0, bytes));
  held_.erase(0, bytes);
  return text;
}

std::string TextStream::push(std::string_view bytes) {
  if (stopped_) return "";
  for (const char byte : bytes) {
    held_ += byte;
    for (const std::string& stop : stop_) {
      if (!held_.ends_with(stop)) continue;
      stopped_ = true;
      std::string text = take(held_.size() - stop.size());
      held_.clear();
      return text;
    }
  }
  size_t pending = 0;  // longest end of the held bytes that begins a stop string
  for (const std::string& stop : stop_) {
    size_t length = std::min(stop.size() - 1, held_.size());
    while (length > pending && !held_.ends_with(std::string_view(stop).substr(0, length))) --length;
    pending = std::max(pending, length);
  }
  return take(complete_utf8_prefix(std::string_view(held_).substr(0, held_.size() - pending)));
}

std::string TextStream::finish() {
  return take(held_.size());
}

}  // namespace aot
