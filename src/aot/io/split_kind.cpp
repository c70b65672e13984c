// SPDX-License-Identifier: Apache-2.0
#include "aot/io/split_kind.h"

namespace aot {
namespace {

struct Row {
  SplitKind kind;
  std::string_view name;
  std::string_view regex;
  std::string_view other_regex;  // the same pieces, as tiktoken writes it now; empty: none
};

constexpr Row kRows[] = {
    {SplitKind::gpt2, "gpt2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
     R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)"},
    {SplitKind::cl100k, "cl100k",
     R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)", ""},
    {SplitKind::llama3, "llama3",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", ""},
    {SplitKind::o200k, "o200k",
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
     R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     ""},
};

const Row& row_of(SplitKind kind) {
  return kRows[static_cast<size_t>(kind)];
}

}  // namespace

std::string_view split_name(SplitKind kind) {
  return row_of(kind).name;
}

std::optional<SplitKind> split_of_name(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.kind;
  return std::nullopt;
}

std::string split_names() {
  std::string names;
  for (const Row& row : kRows) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

std::string_view split_regex(SplitKind kind) {
  return row_of(kind).regex;
}

std::optional<SplitKind> split_of_regex(std::string_view regex) {
  for (const Row& row : kRows)
    if (row.regex == regex || (!row.other_regex.empty() && row.other_regex == regex)) return row.kind;
  return std::nullopt;
}

}  // namespace aot
