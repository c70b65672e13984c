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

/// A token of the list `added_tokens`.
struct AddedToken {
  std::string text;
  int64_t id = 0;
  bool special = false, normalized = false;
};

/// Call in order: read_vocabulary, add for each, place, add_merge for each, finish_*.
class BpeBuilder {
 public:
  explicit BpeBuilder(const std::string& path) : path_(path) {}

  /// Reads {"token": id, ...}.
  void read_vocabulary(JsonReader& json);
  /// An added token, which the vocabulary may hold too (then under the same id).
  void add(AddedToken token);
  /// Orders the tokens by id.
  void place();
  void add_merge(std::string_view left, std::string_view right, const std::string& path);
  [[noreturn]] void fail_merge(const std::string& path, const std::string& problem) const;

  /// What a token may be that neither is a byte, nor made by a merge, nor in the list of added tokens.
  enum class Unmade {
    refused,
    special_in_brackets,  // as in GPT-2's own files, which do not list special tokens
    whole_piece,          // found by looking whole pieces up
  };
  /// Tokens are bytes in GPT-2's alphabet, but for added ones.
  BpeFiles finish_bytes(Unmade unmade, const std::string& merges_path);
  /// Tokens are single characters.
  BpeFiles finish_characters();

 private:
  struct Entry {
    std::string text;
    int32_t id;
    bool added = false, special = false, normalized = false;
  };
  void check_merges_differ(const std::string& path) const;
  void check_added(const BpeFiles& files) const;

  const std::string& path_;
  std::vector<Entry> entries_;
  std::vector<std::string> texts_;  // by id
  std::vector<Entry> flags_;        // by id, without texts
  std::unordered_map<std::string_view, int32_t> ids_;
  std::vector<BpeMerge> merges_;
};

/// Reads an id: an integer from 0 to 999999.
int64_t read_token_id(JsonReader& json, const std::string& path, const std::string& token);

}  // namespace aot
