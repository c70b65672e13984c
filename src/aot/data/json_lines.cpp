// SPDX-License-Identifier: Apache-2.0
#include "aot/data/json_lines.h"

#include "aot/io/error.h"
#include "aot/io/json_reader.h"

namespace aot {

std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& path) {
  JsonReader json(line, path);
  std::string text;
  bool found = false;
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (key != field) {
      json.skip();
      continue;
    }
    if (found) json.fail("field '" + escaped(field, 60) + "' comes twice");
    if (json.kind() != JsonReader::Kind::text)
      throw FileError(path, "", str("field '", escaped(field, 60), "' is ", kind_text(json.kind()), ", need a text"));
    text = json.text();
    found = true;
  }
  json.finish();
  if (!found) throw FileError(path, "", "no field '" + escaped(field, 60) + "'");
  return text;
}

std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& path, int64_t number) {
  try {
    return text_of_json_line(line, field, path);
  } catch (const FileError& error) {
    throw FileError(path, str("line ", number) + (error.place.empty() ? "" : ", " + error.place), error.problem, error.hint, error.code);
  }
}

bool JsonLines::next_line(std::string_view& line) {
  long_line_.clear();
  const auto whole = [](std::string_view text) { return text.size(); };
  for (;;) {
    if (piece_.empty() && !reader_.next(piece_, whole)) {
      line = long_line_;
      return !long_line_.empty();
    }
    const size_t end = piece_.find('\n');
    const std::string_view part = piece_.substr(0, end);
    if (long_line_.size() + part.size() > kMaxLineBytes)
      throw FileError(name_, str("line ", line_ + 1), "longer than " + limit_text(kMaxLineBytes));
    if (end != std::string_view::npos && long_line_.empty()) {
      line = part;
      piece_.remove_prefix(end + 1);
      bytes_read_ += part.size() + 1;
      return true;
    }
    long_line_ += part;
    bytes_read_ += part.size() + (end != std::string_view::npos ? 1 : 0);
    piece_.remove_prefix(end == std::string_view::npos ? piece_.size() : end + 1);
    if (end != std::string_view::npos) {
      line = long_line_;
      return true;
    }
  }
}

bool JsonLines::next(std::string& text) {
  for (std::string_view line; next_line(line);) {
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    text = text_of_json_line(line, field_, name_, line_);
    return true;
  }
  return false;
}

}  // namespace aot
