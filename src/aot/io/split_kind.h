// SPDX-License-Identifier: Apache-2.0
// The published ways of dividing text into pieces that merges never cross, by their names and by their regular expressions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace aot {

enum class SplitKind {
  gpt2,    // Radford et al. 2019: words and numbers with one space before them
  cl100k,  // tiktoken's cl100k_base: as llama3, but white space at the end of the text is one piece
  llama3,  // Llama 3: contractions of any case, words with one character before them, three digits at most, line feeds apart
  o200k,   // tiktoken's o200k_base: as llama3, but words end where capitals begin anew, and contractions stay with their word
};

/// "gpt2", "cl100k", "llama3", "o200k".
std::string_view split_name(SplitKind kind);
std::optional<SplitKind> split_of_name(std::string_view name);
/// The names as messages list them.
std::string split_names();

/// The regular expression, as tokenizer.json holds it.
std::string_view split_regex(SplitKind kind);
/// The way that a regular expression stands for: by its text alone, of which some have two.
std::optional<SplitKind> split_of_regex(std::string_view regex);

}  // namespace aot
