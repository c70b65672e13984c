// SPDX-License-Identifier: Apache-2.0
// Which files a text is made of, and what a first pass over them finds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aot/data/tokenizer.h"

namespace aot {

struct TextSource {
  std::string path;
  bool named = false;  // given by name, not found in a folder: must be usable
  uint64_t bytes = 0;  // told by the scan
  std::string name;    // what messages call it, where that is not its path

  [[nodiscard]] const std::string& shown() const { return name.empty() ? path : name; }
};

/// The files named, and those in the folders named (recursively, in order of path; names that start with '.' and links to folders are left
/// out). With `field`, the files are JSON lines, those in folders the ones called *.jsonl, and none may be damaged.
std::vector<TextSource> list_sources(const std::vector<std::string>& inputs, const std::string& field = "");

struct ScanRequest {
  bool characters = false;  // must be valid UTF-8, also where named; the characters are collected
  TokenizerPtr vocabulary;  // with `characters`: only its characters may occur; null: any
  std::string field;        // of JSON lines; empty: text files
};

struct ScanResult {
  std::vector<TextSource> sources;   // without those left out
  std::vector<uint32_t> characters;  // distinct, ascending
  uint64_t bytes = 0;
  int64_t skipped = 0;   // files in folders that are empty or no text (not UTF-8, or with a NUL)
  bool stopped = false;  // by a signal
};

/// Reads every file once. Throws FileError for a named file: `empty file`, `looks like gzip`, `line 3, byte 17: not valid UTF-8`, `line 2,
/// column 9: U+20AC is not in the vocabulary`, and for JSON lines what JsonLines finds wrong.
ScanResult scan_sources(std::vector<TextSource> sources, const ScanRequest& request);

}  // namespace aot
