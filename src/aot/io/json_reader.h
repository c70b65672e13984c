// SPDX-License-Identifier: Apache-2.0
// A strict, streaming reader of JSON (RFC 8259) for text from outside: no tree, no recursion, byte offsets in every message.
// nlohmann-json keeps the last of two equal keys, has no depth limit and inserts keys in quadratic time, so it never sees foreign text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aot {

/// Walks a document value by value in its own order:
///   JsonReader json(text, path);
///   json.enter_object();
///   for (std::string key; json.next_member(key);) { if (key == "step") step = json.integer(); else json.skip(); }
///   json.finish();
/// Every function throws FileError on text that is not JSON or not of the kind asked for.
class JsonReader {
 public:
  enum class Kind { object, array, text, number, boolean, null };

  /// `text` and `path` must outlive the reader. `base` is added to offsets in messages: where the text starts in its file.
  JsonReader(std::string_view text, const std::string& path, int max_depth = 64, uint64_t base = 0);

  /// Kind of the value that comes next.
  Kind kind();
  void enter_object();
  /// Reads the next key and leaves the reader at its value; false at the end of the object, which is left.
  bool next_member(std::string& key);
  void enter_array();
  /// False at the end of the array, which is left.
  bool next_item();
  std::string text();
  /// The number as it is spelt, e.g. "-1", "1.5e3".
  std::string_view number();
  bool boolean();
  void null();
  void skip();
  /// Only white space may follow.
  void finish();

  /// Offset in the file of what is read next.
  [[nodiscard]] uint64_t offset() const { return base_ + at_; }
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  [[noreturn]] void fail_syntax(const std::string& what) const;
  void skip_space();
  void enter(char bracket);
  bool at_end(char bracket);
  void expect_word(std::string_view word);
  uint32_t hex4();
  void escape(std::string& out);

  std::string_view text_;
  const std::string& path_;
  uint64_t base_;
  size_t at_ = 0;
  std::vector<bool> first_;  // per open object or array: nothing of it has been read yet
};

/// A number's text as an integer; false for fractions, exponents and values out of range.
bool integer_of(std::string_view number, int64_t& value);
bool integer_of(std::string_view number, uint64_t& value);
/// A number's text as a finite double; false when it is out of range.
bool double_of(std::string_view number, double& value);

/// "an object", "an array", "a text", ...
const char* kind_text(JsonReader::Kind kind);

}  // namespace aot
