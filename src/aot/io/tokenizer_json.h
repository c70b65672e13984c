// SPDX-License-Identifier: Apache-2.0
// tokenizer.json in Hugging Face's schema, for the three kinds of tokenizer that we have: Python's `tokenizers` loads what we write.
#pragma once

#include <string>
#include <string_view>

#include "aot/io/bpe_files.h"
#include "aot/io/split_kind.h"

namespace aot {

enum class TokenizerKind {
  byte,   // token i < 256 is byte i; no merges
  chars,  // each token is one character in UTF-8; no merges
  bpe,    // text split by a pattern, then byte-level merges
};

/// What a tokenizer.json holds. For every kind, special tokens may follow anywhere among the ids.
struct TokenizerFile {
  TokenizerKind kind = TokenizerKind::bpe;
  BpeFiles vocabulary;
  SplitKind split = SplitKind::gpt2;  // of bpe
  bool ignore_merges = false;         // bpe: a piece that is a token as a whole is that token, whatever merges would make of it
};

/// Added tokens may stand beside the vocabulary. What adds special tokens around a text (post_processor) is left out.
/// Throws FileError as read_bpe_files, and `not supported`, naming what was found, for models, normalizers, pre-tokenizers and flags of
/// added tokens that are none of ours.
TokenizerFile read_tokenizer_json(const std::string& path);
TokenizerFile parse_tokenizer_json(std::string_view text, const std::string& path);

std::string tokenizer_json_text(const TokenizerFile& file);

}  // namespace aot
