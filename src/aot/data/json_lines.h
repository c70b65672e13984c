// SPDX-License-Identifier: Apache-2.0
// JSON Lines: one object a line, of which one field is a text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aot/data/text_reader.h"

namespace aot {

class JsonLines {
 public:
  static constexpr size_t kMaxLineBytes = 16u << 20;

  /// `name` stands for the file in messages; both must outlive this.
  JsonLines(const std::string& path, const std::string& name, const std::string& field) : reader_(path), name_(name), field_(field) {}

  /// The text of the next line that is not blank; false at the end. Throws FileError naming the line: `not valid JSON`, `no field 'text'`,
  /// `field 'text' is a number, need a text`, `longer than 16 MiB`.
  bool next(std::string& text);
  /// The line that `next` gave last, from 1.
  [[nodiscard]] int64_t line() const { return line_; }
  [[nodiscard]] uint64_t size() const { return reader_.size(); }
  /// Bytes of the lines so far.
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }

 private:
  bool next_line(std::string_view& line);

  TextReader reader_;
  const std::string &name_, &field_;
  std::string_view piece_;  // what the reader gave and is not taken yet
  std::string long_line_;   // a line that began in an earlier piece
  int64_t line_ = 0;
  uint64_t bytes_read_ = 0;
};

/// The text under `field` of one line, which must be an object. Throws FileError; `path` only names the file.
std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& path);
/// The same of line `number` of a file, which messages name.
std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& path, int64_t number);

}  // namespace aot
