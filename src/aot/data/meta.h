// SPDX-License-Identifier: Apache-2.0
// meta.json of a prepared folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace aot {

struct SplitMeta {
  int64_t tokens = 0;
  int64_t text_bytes = 0;  // of the text that became these tokens
  std::string sha256;      // of the .bin
};

struct SourceMeta {
  std::string name;
  int64_t bytes = 0;
};

struct DatasetMeta {
  std::string tokenizer;  // its kind
  std::string tokenizer_sha256;
  int64_t vocab_size = 0;
  int bytes_per_token = 2;
  SplitMeta train;
  std::optional<SplitMeta> val;
  std::vector<SourceMeta> sources;  // the first of them: see kMaxSources
  int64_t source_files = 0;
};

/// Sources named in meta.json, which stays small however many files there were.
constexpr size_t kMaxSources = 1000;

/// Throws FileError naming the key.
DatasetMeta parse_dataset_meta(std::string_view text, const std::string& path);
DatasetMeta read_dataset_meta(const std::string& path);
std::string dataset_meta_text(const DatasetMeta& meta);

/// "uint16" or "uint32".
std::string dtype_text(int bytes_per_token);

}  // namespace aot
