// SPDX-License-Identifier: Apache-2.0
// Puts a BPE together from a vocabulary and merges as files spell them, checking everything that a later lookup relies on.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aot/io/bpe_files.h"
#include "aot/io/json_reader.h"

namespace aot {

/// Call in order: read_vocabulary, add_special for each, place, add_merge for each, finish_*.
class BpeBuilder {
 public:
  explicit BpeBuilder(const std::string& path) : path_(path) {}

  /// Reads {"token": id, ...}.
  void read_vocabulary(JsonReader& json);
  /// A special token, which the vocabulary may hold too (then under the same id).
  void add_special(std::string text, int64_t id);
  /// Orders the tokens by id.
  void place();
  void add_merge(std::string_view left, std::string_view right, const std::string& path);
  [[noreturn]] void fail_merge(const std::string& path, const std::string& problem) const;

  /// Tokens are bytes in GPT-2's alphabet. `guess_special`: a token in brackets that nothing makes is special, as in GPT-2's own files,
  /// which do not list special tokens.
  BpeFiles finish_bytes(bool guess_special, const std::string& merges_path);
  /// Tokens are single characters.
  BpeFiles finish_characters();

 private:
  struct Entry {
    std::string text;
    int32_t id;
    bool special;
  };
  void check_merges_differ(const std::string& path) const;

  const std::string& path_;
  std::vector<Entry> entries_;
  std::vector<std::string> texts_;  // by id
  std::vector<bool> special_;       // by id: told to be special
  std::unordered_map<std::string_view, int32_t> ids_;
  std::vector<BpeMerge> merges_;
};

/// Reads an id: an integer from 0 to 999999.
int64_t read_token_id(JsonReader& json, const std::string& path, const std::string& token);

}  // namespace aot
