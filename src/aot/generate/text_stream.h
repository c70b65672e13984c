// SPDX-License-Identifier: Apache-2.0
// Bytes of tokens in, text out: never half a character, never a stop string or the beginning of one that completes (docs/generate.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aot {

/// Replaces every maximal part that is not valid UTF-8 by one U+FFFD, as Unicode 3.9 recommends and Python's errors="replace" does.
std::string replace_invalid_utf8(std::string_view bytes);

/// Turns a growing sequence of bytes into text that may be shown as it grows. What `push` and `finish` return, joined, depends on the bytes
/// alone, not on how they were cut into tokens.
class TextStream {
 public:
  /// Throws UsageError when a stop string is empty.
  explicit TextStream(std::vector<std::string> stop);

  /// Takes the bytes of the next token and returns the text that is certain by now. After a stop string was met, nothing.
  std::string push(std::string_view bytes);
  /// What was held back because more bytes could have changed it. Call once, at the end.
  std::string finish();
  /// A stop string was met. The one that is complete first counts (of those, the longest), and the text ends where it begins.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  /// The text of the first `bytes` held ones, which are forgotten.
  std::string take(size_t bytes);

  std::vector<std::string> stop_;
  std::string held_;  // bytes not yet shown
  bool stopped_ = false;
};

}  // namespace aot
