// SPDX-License-Identifier: Apache-2.0
#include "aot/data/benchmark_files.h"

#include <algorithm>

#include "aot/core/text.h"
#include "aot/data/json_lines.h"
#include "aot/data/text_place.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

void check_text(std::string_view bytes, const std::string& path) {
  if (const std::string_view kind = looks_like(bytes); !kind.empty())
    throw FileError(path, "", str("looks like ", kind, ", need the published text file"), "unpack what was downloaded");
  if (const size_t at = find_invalid_utf8(bytes); at != std::string_view::npos) {
    TextPlace place;
    place.pass(bytes.substr(0, at));
    throw FileError(path, place.byte_text(), "not valid UTF-8");
  }
}

/// Takes the next line, without its end, off the front of `rest`; false at the end.
bool take_line(std::string_view& rest, std::string_view& line) {
  if (rest.empty()) return false;
  const size_t end = rest.find('\n');
  line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The last line of a question, without its number.
void read_query(std::string_view text, const std::string& path, ClozeQuestion& question) {
  const std::string place = str("line ", question.line);
  const std::vector<std::string_view> fields = split_at(text, '\t');
  if (fields.size() != 4 || !stripped(fields[2]).empty())
    throw FileError(path, place, str("need 4 fields between tabs: query, answer, nothing, options (found ", fields.size(), ")"));
  question.query = stripped(fields[0]);
  question.answer = stripped(fields[1]);
  for (const std::string_view option : split_at(fields[3], '|')) question.options.emplace_back(stripped(option));
  if (question.query.find(ClozeQuestion::kBlank) == std::string::npos)
    throw FileError(path, place, str("no blank ", ClozeQuestion::kBlank, " in the query"));
  if (std::find(question.options.begin(), question.options.end(), "") != question.options.end())
    throw FileError(path, place, "an empty option");
  if (question.options.size() < 2) throw FileError(path, place, "need options with '|' between them");
  if (question.right_option() == question.options.size())
    throw FileError(path, place, str("answer '", escaped(question.answer, 40), "' is not among the options"));
}

}  // namespace

std::vector<TextItem> parse_lines(std::string_view bytes, const std::string& path) {
  check_text(bytes, path);
  std::vector<TextItem> items;
  for (std::string_view line; take_line(bytes, line);)
    items.push_back({.text = std::string(line), .line = static_cast<int64_t>(items.size()) + 1});
  return items;
}

Passages parse_passages(std::string_view bytes, const std::string& path) {
  check_text(bytes, path);
  Passages out{.items = {}, .json = stripped(bytes.substr(0, 4096)).starts_with('{')};
  int64_t number = 0;
  for (std::string_view line; take_line(bytes, line);) {
    ++number;
    if (stripped(line).empty()) continue;
    std::string text = out.json ? text_of_json_line(line, "text", path, number) : std::string(line);
    if (stripped(text).empty()) throw FileError(path, str("line ", number), "an empty passage");
    out.items.push_back({.text = std::move(text), .line = number});
  }
  if (out.items.empty()) throw FileError(path, "", "holds no passages");
  return out;
}

size_t ClozeQuestion::right_option() const {
  return static_cast<size_t>(std::find(options.begin(), options.end(), answer) - options.begin());
}

std::vector<ClozeQuestion> parse_cloze(std::string_view bytes, const std::string& path) {
  check_text(bytes, path);
  std::vector<ClozeQuestion> questions;
  ClozeQuestion question;
  const auto refuse = [&](const std::string& found) {
    throw FileError(path, str("line ", question.line),
                    str("need line ", question.sentences.size() + 1, " of a question, which begins with its number (found ", found, ")"));
  };
  for (std::string_view line; take_line(bytes, line);) {
    ++question.line;
    line = stripped(line);
    if (line.empty() && question.sentences.empty()) continue;
    if (line.empty()) refuse("a blank line");
    const std::string number = std::to_string(question.sentences.size() + 1);
    if (!line.starts_with(number + " ") && line != number) refuse(str("'", escaped(line, 40), "'"));
    line = stripped(line.substr(number.size()));
    if (question.sentences.size() < ClozeQuestion::kSentences) {
      question.sentences.emplace_back(line);
      continue;
    }
    read_query(line, path, question);
    const int64_t done = question.line;
    questions.push_back(std::move(question));
    question = {.line = done};
  }
  if (!question.sentences.empty()) refuse("the end of the file");
  if (questions.empty()) throw FileError(path, "", "holds no questions");
  return questions;
}

}  // namespace aot
