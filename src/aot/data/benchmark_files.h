// SPDX-License-Identifier: Apache-2.0
// The files of published language benchmarks, in the formats of their authors; docs/eval.md says where each is published.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aot {

/// A text of its own: a line, or a passage.
struct TextItem {
  std::string text;
  int64_t line = 0;  // where it stands in its file, from 1
};

/// PTB, WikiText: every line without its end. The line feed of the last line may lack.
///   All functions here: `path` only names the file. They throw FileError, where a line is to blame naming it: `not valid UTF-8`,
///   `looks like gzip`, and what is said below.
std::vector<TextItem> parse_lines(std::string_view bytes, const std::string& path);

struct Passages {
  std::vector<TextItem> items;
  bool json = false;
};

/// LAMBADA: JSON lines with a text under "text" when the file begins with '{', else a passage a line. Blank lines are left out.
///   Throws also as `text_of_json_line` does, `an empty passage`, `holds no passages`.
Passages parse_passages(std::string_view bytes, const std::string& path);

/// A question of the Children's Book Test: which option stands in the place of the blank?
struct ClozeQuestion {
  static constexpr std::string_view kBlank = "XXXXX";
  static constexpr size_t kSentences = 20;

  std::vector<std::string> sentences;  // 20 that come before
  std::string query;                   // holds the blank
  std::string answer;                  // one of the options
  std::vector<std::string> options;    // at least two
  int64_t line = 0;                    // of the query, from 1

  [[nodiscard]] size_t right_option() const;
};

/// Twenty lines "1 SENTENCE" to "20 SENTENCE", then "21 QUERY<tab>ANSWER<tab><tab>OPTION|OPTION|...", then a blank line.
///   Throws also `need line 3 of a question`, `need 4 fields`, `no blank`, `an empty option`, `not among the options`, `holds no
///   questions`.
std::vector<ClozeQuestion> parse_cloze(std::string_view bytes, const std::string& path);

}  // namespace aot
