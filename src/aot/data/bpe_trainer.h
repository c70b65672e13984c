// SPDX-License-Identifier: Apache-2.0
// Makes a byte-level BPE from text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aot/data/sources.h"
#include "aot/io/tokenizer_json.h"

namespace aot {

/// Byte pair encoding of words (Gage 1994; Sennrich et al. 2016, Algorithm 1) over bytes (Radford et al. 2019), split by GPT-2's pattern.
/// The most frequent pair of neighbours becomes a token, again and again. Of pairs equally frequent the one with the smaller left id goes
/// first, then the smaller right id, as in Hugging Face's `tokenizers`; so the same text gives the same vocabulary in any order of files.
/// Deviations from theirs: pairs that occur once or would exceed 512 bytes are not merged, and of a piece of more than 256 bytes each 256
/// count as a piece.
class BpeTrainer {
 public:
  /// Counts the pieces of `text`, which should be cut as certain_split allows. Memory grows with the number of different pieces.
  void add(std::string_view text);

  /// Ids: the bytes in the order of GPT-2's alphabet, the tokens in order of merging, <|endoftext|>. Fewer than `vocab_size` when no pair
  /// is left that occurs twice; nothing when a signal asked for a stop. REQUIRES: vocab_size >= 257.
  [[nodiscard]] std::optional<TokenizerFile> train(int64_t vocab_size) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts_;  // by piece
};

/// From the documents of all sources, with progress. Nothing when a signal asked for a stop.
std::optional<TokenizerFile> train_bpe(const std::vector<TextSource>& sources, const std::string& field, int64_t vocab_size);

}  // namespace aot
