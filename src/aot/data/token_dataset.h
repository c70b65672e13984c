// SPDX-License-Identifier: Apache-2.0
// Prepared text: a folder with train.bin, val.bin, tokenizer.json, meta.json, or a bare .bin of nanoGPT (docs/data.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "aot/data/tokenizer.h"
#include "aot/io/file.h"

namespace aot {

/// One .bin of little-endian uint16 or uint32 tokens, read by positioned reads; every id is checked against the vocabulary when read.
/// Safe to read from several threads.
class TokenFile {
 public:
  /// Throws FileError: `empty file`, `not a whole number of tokens`. `sha256` is what check_all compares with, empty: nothing.
  TokenFile(const std::string& path, int bytes_per_token, int64_t vocab_size, std::string sha256 = "");
  [[nodiscard]] int64_t tokens() const { return tokens_; }
  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] int bytes_per_token() const { return bytes_per_token_; }
  /// Copies tokens [first, first + count) as int64.
  void read(int64_t first, int64_t count, int64_t* into) const;
  /// Reads the whole file once and throws on the first id outside the vocabulary (`token N: id`), `every second token is 0: u32?`, and
  /// `digest mismatch`.
  void check_all() const;

 private:
  InputFile file_;
  int bytes_per_token_;
  int64_t vocab_size_, tokens_;
  std::string sha256_;
};

/// The splits of a prepared folder with their tokenizer.
struct TextDataset {
  std::string path;
  TokenizerPtr tokenizer;  // null for a bare .bin without one
  int64_t vocab_size = 0;
  std::unique_ptr<TokenFile> train, val;                   // val is null when the folder has none
  std::string train_sha256, val_sha256, tokenizer_sha256;  // from meta.json, or taken here
};

/// Opens a folder made by `aot data prepare`, nanoGPT's folder, or a .bin file (as val and train; with the meta.json beside it, if any). A
/// folder or file without meta.json is uint16 and needs `vocab_size` or `tokenizer_path` (as open_tokenizer takes it); `vocab_size` counts
/// only where there is no tokenizer. Throws FileError: `another tokenizer`, `digest mismatch` (of tokenizer.json), `meta.json says 1000
/// tokens, file has 900`. files.
TextDataset open_text_dataset(const std::string& path, const std::string& tokenizer_path = "", int64_t vocab_size = 0);

/// Start of the window that sample `index` of step `step` reads: uniform over [0, tokens - length], a function of the arguments alone.
int64_t window_start(uint64_t seed, int64_t step, int64_t index, int64_t tokens, int64_t length);

}  // namespace aot
