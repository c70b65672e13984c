// SPDX-License-Identifier: Apache-2.0
#include "aot/io/json_reader.h"

#include <charconv>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

template <class Number>
bool whole_text_is(std::string_view text, Number& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

/// Before anything else, so that depth is what the message says whatever else is wrong.
void check_depth(std::string_view text, const std::string& path, int max_depth, uint64_t base) {
  int depth = 0;
  bool in_text = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_text) {
      if (c == '\\') ++at;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) throw FileError(path, str("byte ", base + at), str("nested deeper than ", max_depth));
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace

JsonReader::JsonReader(std::string_view text, const std::string& path, int max_depth, uint64_t base)
    : text_(text), path_(path), base_(base) {
  if (const auto found = looks_like(text); !found.empty() && base == 0) throw FileError(path, "", str("looks like ", found, ", need JSON"));
  if (text.substr(0, 3) == "\xef\xbb\xbf")
    throw FileError(path, "", str("not valid JSON at byte ", base, ": starts with a byte order mark"));
  if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos)
    throw FileError(path, "", str("not valid UTF-8 at byte ", base + bad));
  check_depth(text, path, max_depth, base);
}

void JsonReader::fail(const std::string& problem) const {
  throw FileError(path_, str("byte ", offset()), problem);
}

void JsonReader::fail_syntax(const std::string& what) const {
  throw FileError(path_, "", str("not valid JSON at byte ", offset(), ": ", at_ >= text_.size() ? "the text ends early" : what));
}

void JsonReader::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
}

JsonReader::Kind JsonReader::kind() {
  skip_space();
  const char c = at_ < text_.size() ? text_[at_] : '\0';
  if (c == '{') return Kind::object;
  if (c == '[') return Kind::array;
  if (c == '"') return Kind::text;
  if (c == '-' || is_digit(c)) return Kind::number;
  if (c == 't' || c == 'f') return Kind::boolean;
  if (c == 'n') return Kind::null;
  fail_syntax("expected a value");
}

void JsonReader::enter(char bracket) {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != bracket)
    fail(str("need ", bracket == '{' ? "an object" : "an array", " (found ", kind_text(kind()), ")"));
  ++at_;
  first_.push_back(true);
}

bool JsonReader::at_end(char bracket) {
  skip_space();
  if (at_ < text_.size() && text_[at_] == bracket) {
    ++at_;
    first_.pop_back();
    return true;
  }
  if (first_.back()) {
    first_.back() = false;
    return false;
  }
  if (at_ >= text_.size() || text_[at_] != ',') fail_syntax(str("expected ',' or '", bracket, "'"));
  ++at_;
  skip_space();
  return false;
}

void JsonReader::enter_object() {
  enter('{');
}
void JsonReader::enter_array() {
  enter('[');
}

bool JsonReader::next_member(std::string& key) {
  if (at_end('}')) return false;
  if (at_ >= text_.size() || text_[at_] != '"') fail_syntax("expected a key in quotes");
  key = text();
  skip_space();
  if (at_ >= text_.size() || text_[at_] != ':') fail_syntax("expected ':'");
  ++at_;
  return true;
}

bool JsonReader::next_item() {
  return !at_end(']');
}

std::string JsonReader::text() {
  if (const Kind found = kind(); found != Kind::text) fail(str("need a text (found ", kind_text(found), ")"));
  ++at_;
  std::string out;
  while (true) {
    size_t end = at_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' && static_cast<uint8_t>(text_[end]) >= 0x20) ++end;
    out.append(text_, at_, end - at_);
    at_ = end;
    if (at_ >= text_.size()) fail_syntax("");
    if (text_[at_] == '"') break;
    if (text_[at_] != '\\') fail_syntax("control character inside a text");
    ++at_;
    escape(out);
  }
  ++at_;
  return out;
}

void JsonReader::escape(std::string& out) {
  if (at_ >= text_.size()) fail_syntax("");
  const char c = text_[at_++];
  switch (c) {
    case '"':
    case '\\':
    case '/':
      out += c;
      return;
    case 'b':
      out += '\b';
      return;
    case 'f':
      out += '\f';
      return;
    case 'n':
      out += '\n';
      return;
    case 'r':
      out += '\r';
      return;
    case 't':
      out += '\t';
      return;
    case 'u':
      break;
    default:
      --at_;
      fail_syntax("unknown escape");
  }
  uint32_t code = hex4();
  if (code >= 0xdc00 && code <= 0xdfff) fail_syntax("lone surrogate");
  if (code >= 0xd800 && code <= 0xdbff) {
    if (text_.substr(at_, 2) != "\\u") fail_syntax("lone surrogate");
    at_ += 2;
    const uint32_t low = hex4();
    if (low < 0xdc00 || low > 0xdfff) fail_syntax("lone surrogate");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(out, code);
}

uint32_t JsonReader::hex4() {
  uint32_t code = 0;
  const std::string_view digits = text_.substr(at_, 4);
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != 4 || result.ptr != digits.data() + 4) fail_syntax("expected four hexadecimal digits");
  at_ += 4;
  return code;
}

std::string_view JsonReader::number() {
  if (const Kind found = kind(); found != Kind::number) fail(str("need a number (found ", kind_text(found), ")"));
  const size_t start = at_;
  const auto digits = [this] {
    if (at_ >= text_.size() || !is_digit(text_[at_])) fail_syntax("expected a digit");
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  };
  if (text_[at_] == '-') ++at_;
  if (at_ < text_.size() && text_[at_] == '0') {
    ++at_;
  } else {
    digits();
  }
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    digits();
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits();
  }
  return text_.substr(start, at_ - start);
}

void JsonReader::expect_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail_syntax("expected a value");
  at_ += word.size();
}

bool JsonReader::boolean() {
  if (const Kind found = kind(); found != Kind::boolean) fail(str("need true or false (found ", kind_text(found), ")"));
  const bool yes = text_[at_] == 't';
  expect_word(yes ? "true" : "false");
  return yes;
}

void JsonReader::null() {
  if (const Kind found = kind(); found != Kind::null) fail(str("need null (found ", kind_text(found), ")"));
  expect_word("null");
}

void JsonReader::skip() {
  const size_t outside = first_.size();
  std::vector<bool> is_object;  // of those that this call has entered
  std::string key;
  do {
    switch (kind()) {
      case Kind::object:
        enter_object();
        is_object.push_back(true);
        break;
      case Kind::array:
        enter_array();
        is_object.push_back(false);
        break;
      case Kind::text:
        text();
        break;
      case Kind::number:
        number();
        break;
      case Kind::boolean:
        boolean();
        break;
      case Kind::null:
        null();
        break;
    }
    while (first_.size() > outside && !(is_object.back() ? next_member(key) : next_item())) is_object.pop_back();
  } while (first_.size() > outside);
}

void JsonReader::finish() {
  skip_space();
  if (at_ < text_.size()) fail_syntax("text after the end of the document");
}

bool integer_of(std::string_view number, int64_t& value) {
  return whole_text_is(number, value);
}
bool integer_of(std::string_view number, uint64_t& value) {
  return whole_text_is(number, value);
}
bool double_of(std::string_view number, double& value) {
  return whole_text_is(number, value);
}

const char* kind_text(JsonReader::Kind kind) {
  switch (kind) {
    case JsonReader::Kind::object:
      return "an object";
    case JsonReader::Kind::array:
      return "an array";
    case JsonReader::Kind::text:
      return "a text";
    case JsonReader::Kind::number:
      return "a number";
    case JsonReader::Kind::boolean:
      return "true or false";
    case JsonReader::Kind::null:
      return "null";
  }
  return "";
}

}  // namespace aot
