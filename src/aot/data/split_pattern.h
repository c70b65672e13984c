// SPDX-License-Identifier: Apache-2.0
// GPT-2's division of text into pieces, which merges never cross.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace aot {

/// Radford et al. 2019, as published with GPT-2's encoder: 's 't 're 've 'm 'll 'd, then runs of letters, of digits, and of other
/// characters, each with one space before it, then runs of white space, which leave their last character to a word that follows.
/// Immutable; safe to use from several threads.
class SplitPattern {
 public:
  SplitPattern();
  ~SplitPattern();
  SplitPattern(const SplitPattern&) = delete;
  SplitPattern& operator=(const SplitPattern&) = delete;

  /// Calls piece(string_view) for each piece of `text` in order; together they are the text. REQUIRES: valid UTF-8.
  template <class Piece>
  void split(std::string_view text, const Piece& piece) const {
    Matcher matcher(*this, text);
    for (size_t at = 0; at < text.size();) {
      const size_t end = matcher.end_of_piece(at);
      piece(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  struct Code;
  class Matcher {
   public:
    Matcher(const SplitPattern& pattern, std::string_view text);
    ~Matcher();
    Matcher(const Matcher&) = delete;
    Matcher& operator=(const Matcher&) = delete;
    size_t end_of_piece(size_t at);

   private:
    struct Block;
    const Code& code_;
    std::string_view text_;
    std::unique_ptr<Block> block_;
  };

  std::unique_ptr<Code> code_;
};

/// Length of the longest prefix of `text` that ends between a character and an ASCII white space after it: there the pattern splits
/// whatever follows, and no piece before it depends on what follows. 0 when there is no such place.
size_t certain_split(std::string_view text);

}  // namespace aot
