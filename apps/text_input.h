// SPDX-License-Identifier: Apache-2.0
// The text that a command reads with a given model: prepared data, or a file that the model's tokenizer reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aot/core/options.h"
#include "aot/data/token_dataset.h"
#include "aot/eval/token_source.h"

namespace aot {

struct TextFlags {
  std::string data, split = "val", tokenizer;
};

void describe(Fields& fields, TextFlags& flags);
/// `tokenizer` alone.
void describe_tokenizer(Fields& fields, TextFlags& flags);

/// Tokens and what they were made with.
struct TextInput {
  TextDataset dataset;        // of a folder or .bin
  std::vector<int32_t> text;  // of a text file
  TokenizerPtr tokenizer;     // may be null
  TokenSource source;         // of at least two tokens
};

/// Opens --data for a model: text is tokenised by the model's tokenizer, prepared data must have been.
std::unique_ptr<TextInput> open_text(const TextFlags& flags, const std::string& checkpoint, int64_t vocab_size);

/// The tokens of one split, all checked.
TokenSource split_source(const TextDataset& dataset, const std::string& split);

/// Data made by `aot data prepare` or by nanoGPT, as against text.
bool is_prepared(const std::string& path);

}  // namespace aot
