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
  for (const auto* ids : {&files.special, &files.added, &files.normalized}) {
    require(std::is_sorted(ids->begin(), ids->end()), "added tokens are in order");
    for (const int32_t id : *ids) require(id >= 0 && id < count, "added tokens are in range");
  }
  for (const BpeMerge& merge : files.merges) {
    require(merge.left >= 0 && merge.left < count && merge.right >= 0 && merge.right < count && merge.result >= 0 && merge.result < count,
            "merges are in range");
    const auto& tokens = files.tokens;
    require(tokens[static_cast<size_t>(merge.left)] + tokens[static_cast<size_t>(merge.right)] == tokens[static_cast<size_t>(merge.result)],
            "a merge makes what it joins");
  }
  const std::string text = tokenizer_json_text(file);
  const TokenizerFile again = parse_tokenizer_json(text, "tokenizer.json");
  require(again.kind == file.kind && again.split == file.split && again.ignore_merges == file.ignore_merges &&
              again.vocabulary.tokens == files.tokens && again.vocabulary.special == files.special &&
              again.vocabulary.added == files.added && again.vocabulary.normalized == files.normalized &&
              tokenizer_json_text(again) == text,
          "reading undoes writing");
}

}  // namespace aot
