// SPDX-License-Identifier: Apache-2.0
// Text <-> token ids. A tokenizer is immutable and safe to use from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aot/io/split_kind.h"

namespace aot {

/// Encodes one text after another and may remember words in between. For one thread at a time; its tokenizer must outlive it.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// As Tokenizer::encode.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) = 0;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  [[nodiscard]] virtual std::string kind() const = 0;  // "byte", "char", "bpe"
  [[nodiscard]] virtual int64_t vocab_size() const = 0;
  /// Appends the ids of `text`. Special tokens spelt out in text are ordinary text. Throws Error naming line and column of a character
  /// outside the vocabulary (char), or byte of invalid UTF-8 (char); byte and bpe take any bytes.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) const = 0;
  /// The same, but special tokens spelt out become their ids (bpe; the other kinds have no way to spell them).
  virtual void encode_with_special(std::string_view text, std::vector<int32_t>& ids) const { encode(text, ids); }
  /// For many texts.
  [[nodiscard]] virtual std::unique_ptr<Encoder> encoder() const;
  /// Length of the longest known prefix of `text` (any part of a longer text) that can be encoded apart from all that follows: its ids and
  /// those of the rest are the ids of the whole. 0: none is known.
  [[nodiscard]] virtual size_t safe_cut(std::string_view text) const { return text.size(); }
  /// The bytes of one token, or empty for an id that stands for no bytes (special, padding).
  [[nodiscard]] virtual std::string_view bytes_of(int32_t id) const = 0;
  /// The id that separates documents, or -1.
  [[nodiscard]] virtual int32_t end_of_text() const { return -1; }
  /// The tokenizer as tokenizer.json in Hugging Face's schema.
  [[nodiscard]] virtual std::string to_json() const = 0;

  [[nodiscard]] std::vector<int32_t> encode(std::string_view text) const;
  /// What may stand between texts: end_of_text(), else the one token of a line feed, else nothing.
  [[nodiscard]] std::optional<int32_t> separator() const;
  [[nodiscard]] std::string decode(const std::vector<int32_t>& ids) const;
};

using TokenizerPtr = std::shared_ptr<const Tokenizer>;

TokenizerPtr make_byte_tokenizer();
/// The characters given, in order of code point, become ids 0, 1, 2, ...
TokenizerPtr make_char_tokenizer(const std::vector<uint32_t>& characters);
/// GPT-2's files: FOLDER/encoder.json and FOLDER/vocab.bpe (or vocab.json and merges.txt).
TokenizerPtr read_gpt2_tokenizer(const std::string& folder);
/// tokenizer.json as `to_json` writes it. Throws FileError.
TokenizerPtr read_tokenizer(const std::string& path);
/// A tiktoken rank file, with the way of splitting that goes with it. Throws FileError.
TokenizerPtr read_tiktoken_tokenizer(const std::string& path, SplitKind split);
/// The tokenizer that a flag names: "byte", "gpt2:FOLDER", "tiktoken:FILE:PATTERN", a tokenizer.json, or a folder with GPT-2's files or a
/// tokenizer.json. Throws UsageError, FileError.
TokenizerPtr open_tokenizer(const std::string& name);

}  // namespace aot
