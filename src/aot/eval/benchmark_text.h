// SPDX-License-Identifier: Apache-2.0
// The lines of a benchmark as one stream of tokens, and what stands between them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aot/data/benchmark_files.h"
#include "aot/data/tokenizer.h"
#include "aot/eval/token_source.h"

namespace aot {

/// The token that ends a text: `<|endoftext|>`, or where the tokenizer has none the line feed that `aot data prepare` puts between
/// documents.
struct Separator {
  int32_t id = 0;
  std::string shown;  // "<|endoftext|>" or "line feed"
};
/// Throws Error when a tokenizer has neither as one token.
Separator separator_of(const Tokenizer& tokenizer);

/// Ids of a text of line `line` of a file, which messages name. `text` as the tokenizer takes it; special tokens spelt out are text.
std::vector<int32_t> encode_item(std::string_view text, const Tokenizer& tokenizer, const std::string& path, int64_t line);

struct ItemTokens {
  std::vector<int32_t> tokens;
  int64_t words = 0;  // of the original text
};

/// Every item, and the separator after each; an item of white space alone is the separator alone.
ItemTokens encode_items(std::span<const TextItem> items, const Tokenizer& tokenizer, const Separator& separator, const std::string& path);
/// The lines of PTB, de-tokenised, with a line feed between them.
ItemTokens encode_detokenised(std::span<const TextItem> items, const Tokenizer& tokenizer, const std::string& path);
/// A line of PTB as it would be written, one space between words: clitics at their words ("did n't" -> "didn't", "dow 's" -> "dow's"),
/// signs of money at their numbers ("$ N" -> "$N"), "\/" -> "/".
std::string detokenised_ptb(std::string_view line);

/// Pieces between ASCII white space.
int64_t count_words(std::string_view text);
/// The same over the bytes of tokens; a token without bytes separates.
int64_t count_words(const TokenSource& source, const Tokenizer& tokenizer);

}  // namespace aot
