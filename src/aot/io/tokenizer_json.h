// SPDX-License-Identifier: Apache-2.0
// tokenizer.json in Hugging Face's schema, for the three kinds of tokenizer that we have: Python's `tokenizers` loads what we write.
#pragma once

#include <string>
#include <string_view>

#include "aot/io/bpe_files.h"

namespace aot {

enum class TokenizerKind {
  byte,   // token i < 256 is byte i; no merges
  chars,  // each token is one character in UTF-8; no merges
  bpe,    // GPT-2's splitting and byte-level merges
};

/// What a tokenizer.json holds. For every kind, special tokens may follow anywhere among the ids.
struct TokenizerFile {
  TokenizerKind kind = TokenizerKind::bpe;
  BpeFiles vocabulary;
};

/// Throws FileError as read_bpe_files, and `not supported` for models, normalizers and pre-tokenizers that are none of ours.
TokenizerFile read_tokenizer_json(const std::string& path);
TokenizerFile parse_tokenizer_json(std::string_view text, const std::string& path);

std::string tokenizer_json_text(const TokenizerFile& file);

}  // namespace aot
