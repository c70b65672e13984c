// SPDX-License-Identifier: Apache-2.0
// Finds added tokens in a text, before it is split into pieces. Not for use outside this room.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aot/io/bpe_files.h"

namespace aot {

/// As Hugging Face's tokenizers do: leftmost first and of those the longest; tokens with `normalized` in what the others leave.
class AddedTokens {
 public:
  explicit AddedTokens(const BpeFiles& vocabulary);

  /// Whether there is anything to find; with `special`, special tokens too.
  [[nodiscard]] bool empty(bool special) const { return special ? !has_any_ : !has_ordinary_; }
  /// Calls on_text(string_view) for what lies between tokens (never empty) and on_token(id), in order.
  void split(std::string_view text, bool special, const std::function<void(std::string_view)>& on_text,
             const std::function<void(int32_t)>& on_token) const;
  /// Whether a token that is not special could begin before `cut` and go on after it, as far as `text` shows.
  [[nodiscard]] bool may_span(std::string_view text, size_t cut) const;

 private:
  /// Tokens by their bytes.
  class Trie {
   public:
    void add(std::string_view token, int32_t id, bool special);
    /// The longest token at `at`: its id and bytes; -1 when none is there.
    [[nodiscard]] std::pair<int32_t, size_t> find(std::string_view text, size_t at, bool special) const;
    /// Whether a token that is not special has text[at, cut) as its beginning and goes on.
    [[nodiscard]] bool goes_on(std::string_view text, size_t at, size_t cut) const;
    [[nodiscard]] size_t longest() const { return longest_; }

   private:
    struct Node {
      int32_t id = -1;
      bool special = false;
      bool before_ordinary = false;  // a token that is not special goes on from here
    };
    [[nodiscard]] int32_t child(int32_t node, char byte) const;

    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::vector<bool> starts_ = std::vector<bool>(256);
    std::unordered_map<uint64_t, int32_t> children_;  // by node and byte
    size_t longest_ = 0;                              // bytes, of tokens that are not special
  };
  void split_by(const Trie& trie, std::string_view text, bool special, const std::function<void(std::string_view)>& on_text,
                const std::function<void(int32_t)>& on_token) const;

  Trie first_, normalized_;
  bool has_any_ = false, has_ordinary_ = false;
};

}  // namespace aot
