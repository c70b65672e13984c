// SPDX-License-Identifier: Apache-2.0
// The published test sets: what their files are called, who published them, and how to tell another file from them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aot/data/benchmark_files.h"

namespace aot {

struct PublishedSet {
  std::string file;    // its usual name
  std::string source;  // follows "published": where, and the paper
  int64_t count = 0;   // lines, passages or questions
  std::string unit;    // "lines"
};

/// The file that a protocol of a task is defined on. Tasks: lambada, cbt-cn, cbt-ne, ptb, wikitext2, wikitext103.
PublishedSet published_set(std::string_view task, std::string_view protocol);

/// Why a file is not the published one, a sentence each; scores of another file are comparable with no published number. Empty: it may be.
std::vector<std::string> doubts_about(const PublishedSet& set, std::string_view task, std::span<const TextItem> lines);
std::vector<std::string> doubts_about(const PublishedSet& set, const Passages& passages);
std::vector<std::string> doubts_about(const PublishedSet& set, std::span<const ClozeQuestion> questions);

}  // namespace aot
