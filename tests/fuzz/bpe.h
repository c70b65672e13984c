// SPDX-License-Identifier: Apache-2.0
// What holds for every vocabulary that a reader lets through.
#pragma once

#include <algorithm>

#include "aot/io/tokenizer_json.h"
#include "tests/fuzz/target.h"

namespace aot {

inline void check_vocabulary(const TokenizerFile& file) {
  const BpeFiles& files = file.vocabulary;
  const auto count = static_cast<int32_t>(files.tokens.size());
  for (const std::string& token : files.tokens) require(!token.empty(), "no token is empty");
  require(std::is_sorted(files.special.begin(), files.special.end()), "special tokens are in order");
  for (const int32_t id : files.special) require(id >= 0 && id < count, "special tokens are in range");
  for (const BpeMerge& merge : files.merges) {
    require(merge.left >= 0 && merge.left < count && merge.right >= 0 && merge.right < count && merge.result >= 0 && merge.result < count,
            "merges are in range");
    const auto& tokens = files.tokens;
    require(tokens[static_cast<size_t>(merge.left)] + tokens[static_cast<size_t>(merge.right)] == tokens[static_cast<size_t>(merge.result)],
            "a merge makes what it joins");
  }
  const std::string text = tokenizer_json_text(file);
  const TokenizerFile again = parse_tokenizer_json(text, "tokenizer.json");
  require(again.kind == file.kind && again.vocabulary.tokens == files.tokens && again.vocabulary.special == files.special &&
              tokenizer_json_text(again) == text,
          "reading undoes writing");
}

}  // namespace aot
