// SPDX-License-Identifier: Apache-2.0
// Text files -> a folder of tokens (docs/data.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aot/data/meta.h"

namespace aot {

struct PrepareOptions {
  std::vector<std::string> inputs;  // files and folders; "-": stdin
  std::string tokenizer = "char";   // char (of the text's own characters), bpe (trained on the text), or as open_tokenizer takes it
  int64_t vocab = 8192;             // of bpe
  std::string field;                // the inputs are JSON lines, and this is their text; empty: text files
  double val = 0.1;                 // the last share of the tokens, for validation
  std::string out;                  // must not exist, or be an empty folder
  int64_t threads = 1;
};

struct PrepareResult {
  DatasetMeta meta;
  int64_t skipped = 0;  // files in folders that are no text
  uint64_t text_bytes = 0;
};

/// Makes `out` whole or not at all, in memory that does not grow with the text. Nothing when a signal asked for a stop.
/// Throws UsageError for what the command line says, FileError for what the files hold.
std::optional<PrepareResult> prepare_text(const PrepareOptions& options);

}  // namespace aot
