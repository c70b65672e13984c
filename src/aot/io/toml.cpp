// SPDX-License-Identifier: Apache-2.0
// A parser of our own: toml++ 3.3 runs into undefined behaviour on some malformed headers and non-ASCII characters outside texts, and
// recurses without limit on dotted keys. What a flat configuration needs of TOML 1.0 is small: no arrays, no inline tables, no dates.
#include "aot/io/toml.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr size_t kMaxBytes = 1u << 20;
constexpr int kMaxDepth = 64;
constexpr size_t kMaxKeys = 4096;  // far more than there are settings; bounds the memory of 1 MiB of short lines

[[noreturn]] void fail(const std::string& path, const std::string& place, const std::string& problem, const std::string& hint = "") {
  throw FileError(path, place, problem, hint, ExitCode::usage);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_bare(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}
bool is_control(char c) {
  return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f;
}

/// Follows texts, comments, brackets and dots, so that depth is what the message says whatever else is wrong.
class DepthScan {
 public:
  DepthScan(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        continue;
      }
      ++at_;
      count(c);
    }
  }

 private:
  void count(char c) {
    if (c == '\n') ++line_;
    if (c == '[' || c == '{') ++brackets_;
    if ((c == ']' || c == '}') && brackets_ > 0) --brackets_;
    if (c == '.') {
      ++dots_;
    } else if (c == '\n' || c == '=' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}') {
      dots_ = 0;
    }
    if (brackets_ > kMaxDepth || dots_ > kMaxDepth - 1) fail(path_, str("line ", line_), str("nested deeper than ", kMaxDepth));
  }

  void skip_string(char quote) {
    const bool multi_line = text_.substr(at_, 3) == std::string(3, quote);
    at_ += multi_line ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        at_ += 2;
      } else if (c == '\n' && !multi_line) {
        return;  // an error that the parser will name
      } else if (c == quote && (!multi_line || text_.substr(at_, 3) == std::string(3, quote))) {
        at_ += multi_line ? 3 : 1;
        while (multi_line && at_ < text_.size() && text_[at_] == quote) ++at_;  // up to two quotes may end the text itself
        return;
      } else {
        if (c == '\n') ++line_;
        ++at_;
      }
    }
    at_ = std::min(at_, text_.size());
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
  int64_t line_ = 1;
  int brackets_ = 0, dots_ = 0;
};

/// The digits of `text` without the underscores between them; false when it is not DIGIT+ ("_" DIGIT+)* by `is_one`.
template <class IsDigit>
bool take_digits(std::string_view text, size_t& at, std::string& out, const IsDigit& is_one) {
  const size_t start = at;
  while (at < text.size() &&
         (is_one(text[at]) || (text[at] == '_' && at > start && is_one(text[at - 1]) && at + 1 < text.size() && is_one(text[at + 1])))) {
    if (text[at] != '_') out += text[at];
    ++at;
  }
  return at > start;
}

bool parse_based(std::string_view text, Value& value) {
  const int base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
  size_t at = 2;
  std::string digits;
  const auto is_one = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  if (!take_digits(text, at, digits, is_one) || at != text.size()) return false;
  int64_t number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  value = number;
  return result.ec == std::errc() && result.ptr == digits.data() + digits.size();
}

/// An integer or float as TOML spells it.
bool parse_number(std::string_view text, Value& value) {
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o' || text[1] == 'b')) return parse_based(text, value);
  size_t at = 0;
  std::string out;
  if (text[0] == '+' || text[0] == '-') {
    if (text[0] == '-') out = "-";
    ++at;
  }
  const std::string_view rest = text.substr(at);
  if (rest == "inf" || rest == "nan") {
    out += rest;
  } else {
    const size_t first = out.size();
    if (!take_digits(text, at, out, is_digit)) return false;
    if (out[first] == '0' && out.size() > first + 1) return false;
    if (at == text.size()) {
      int64_t number = 0;
      const auto result = std::from_chars(out.data(), out.data() + out.size(), number);
      value = number;
      return result.ec == std::errc();
    }
    if (text[at] == '.') {
      ++at;
      out += '.';
      if (!take_digits(text, at, out, is_digit)) return false;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
      ++at;
      out += 'e';
      if (at < text.size() && (text[at] == '+' || text[at] == '-')) out += text[at++];
      if (!take_digits(text, at, out, is_digit)) return false;
    }
    if (at != text.size()) return false;
  }
  double number = 0;
  const auto result = std::from_chars(out.data(), out.data() + out.size(), number);
  value = number;
  return result.ec == std::errc() && result.ptr == out.data() + out.size();
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  std::vector<TomlEntry> run() {
    while (skip_blank_lines()) {
      if (entries_.size() + headers_.size() == kMaxKeys) fail_here(str("more than ", kMaxKeys, " keys and tables"));
      if (peek() == '[') {
        header();
      } else {
        entry();
      }
      end_of_line();
    }
    return std::move(entries_);
  }

 private:
  [[nodiscard]] char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  [[nodiscard]] bool starts(std::string_view piece) const { return text_.substr(at_, piece.size()) == piece; }

  [[noreturn]] void fail_here(const std::string& problem) const {
    const auto is_start = [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; };
    const auto column =
        1 + std::count_if(text_.begin() + static_cast<ptrdiff_t>(line_start_), text_.begin() + static_cast<ptrdiff_t>(at_), is_start);
    fail(path_, str("line ", line_, ", column ", column), at_ < text_.size() ? problem : problem + " (the file ends here)");
  }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }

  /// Whether a line end stands here; goes past it.
  bool take_line_end() {
    if (peek() != '\n' && !starts("\r\n")) return false;
    at_ += peek() == '\r' ? 2 : 1;
    ++line_;
    line_start_ = at_;
    return true;
  }

  void skip_comment() {
    if (peek() != '#') return;
    while (at_ < text_.size() && peek() != '\n' && !starts("\r\n")) {
      if (is_control(peek())) fail_here("control character in a comment");
      ++at_;
    }
  }

  /// Goes to the next line that says something; false at the end.
  bool skip_blank_lines() {
    do {
      skip_space();
      skip_comment();
    } while (take_line_end());
    return at_ < text_.size();
  }

  void end_of_line() {
    skip_space();
    skip_comment();
    if (at_ < text_.size() && !take_line_end()) fail_here("expected the end of the line");
  }

  std::vector<std::string> dotted_key() {
    std::vector<std::string> parts;
    while (true) {
      skip_space();
      if (peek() == '"' || peek() == '\'') {
        if (starts("\"\"\"") || starts("\'\'\'")) fail_here("a key cannot have several lines");
        parts.push_back(quoted());
      } else {
        const size_t start = at_;
        while (is_bare(peek())) ++at_;
        if (at_ == start) fail_here("expected a key");
        parts.emplace_back(text_.substr(start, at_ - start));
      }
      skip_space();
      if (peek() != '.') return parts;
      ++at_;
    }
  }

  void header() {
    if (starts("[[")) fail_here("need a text, a number, true or false (found an array of tables)");
    ++at_;
    const int64_t line = line_;
    const std::vector<std::string> parts = dotted_key();
    if (peek() != ']') fail_here("expected ']'");
    table_.clear();
    for (const std::string& part : parts) claim_table(part);
    table_.pop_back();
    const auto [first, is_new] = headers_.emplace(table_, line);
    if (!is_new) fail_here(str("table '", escaped(table_, 80), "' already set at line ", first->second));
    table_ += '.';
    ++at_;
  }

  /// Goes into `part` of the current table.
  void claim_table(const std::string& part) {
    table_ += part;
    if (const auto set = set_.find(table_); set != set_.end())
      fail_here(str("'", escaped(table_, 80), "' already set at line ", set->second));
    tables_.emplace(table_, line_);
    table_ += '.';
  }

  void entry() {
    const int64_t line = line_;
    const std::vector<std::string> parts = dotted_key();
    const std::string table = table_;
    for (size_t i = 0; i + 1 < parts.size(); ++i) claim_table(parts[i]);
    const std::string key = table_ + parts.back();
    table_ = table;
    for (const auto& names : {&set_, &tables_})
      if (const auto first = names->find(key); first != names->end())
        fail_here(str("key '", escaped(key, 80), "' already set at line ", first->second));
    if (peek() != '=') fail_here("expected '='");
    ++at_;
    skip_space();
    set_.emplace(key, line);
    entries_.push_back({key, value(key), line});
  }

  Value value(const std::string& key) {
    if (starts("\"\"\"") || starts("\'\'\'")) return several_lines();
    const char c = peek();
    if (c == '"' || c == '\'') return quoted();
    const size_t start = at_;
    while (is_bare(peek()) || peek() == '+' || peek() == '.' || peek() == ':') ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    Value parsed = word == "true";
    if (word == "true" || word == "false" || (!word.empty() && parse_number(word, parsed))) return parsed;
    at_ = start;
    const bool is_date = word.size() >= 5 && is_digit(word[0]) && (word[4] == '-' || word[2] == ':');
    if (c == '[' || c == '{' || is_date)
      fail(path_, str("line ", line_),
           str("key '", escaped(key, 80), "': need a text, a number, true or false (found ",
               c == '['   ? "an array"
               : c == '{' ? "a table"
                          : "a date or time",
               ")"));
    if (word.empty()) fail_here("expected a value");
    fail_here(str("not a number in 64 bits, true or false: '", escaped(word, 60), "'",
                  is_bare(c) && !is_digit(c) ? "; a text needs quotes" : ""));
  }

  /// "text" or 'text'.
  std::string quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (peek() != quote || at_ >= text_.size()) {
      if (at_ >= text_.size() || is_control(peek())) fail_here("expected the closing quote");
      if (peek() == '\\' && quote == '"') {
        escape(out);
      } else {
        out += text_[at_++];
      }
    }
    ++at_;
    return out;
  }

  std::string several_lines() {
    const std::string end(3, text_[at_]);
    const bool escapes = end[0] == '"';
    std::string out;
    at_ += 3;
    take_line_end();
    while (!starts(end)) {
      if (at_ >= text_.size()) fail_here("expected the closing quotes");
      if (take_line_end()) {
        out += '\n';
      } else if (peek() == '\\' && escapes) {
        if (!skip_line_ending_backslash()) escape(out);
      } else if (is_control(peek())) {
        fail_here("control character in a text");
      } else {
        out += text_[at_++];
      }
    }
    at_ += 3;
    for (int i = 0; i < 2 && peek() == end[0]; ++i) {  // the text itself may end in one or two quotes
      out += end[0];
      ++at_;
    }
    return out;
  }

  /// A backslash before a line end takes all white space after it away.
  bool skip_line_ending_backslash() {
    size_t ahead = 1;
    while (peek(ahead) == ' ' || peek(ahead) == '\t') ++ahead;
    if (peek(ahead) != '\n' && !(peek(ahead) == '\r' && peek(ahead + 1) == '\n')) return false;
    at_ += ahead;
    while (take_line_end()) skip_space();
    return true;
  }

  void escape(std::string& out) {
    static constexpr std::string_view kLetters = "btnfr\"\\", kMeanings = "\b\t\n\f\r\"\\";
    const char c = peek(1);
    const size_t known = kLetters.find(c);
    if (known != std::string_view::npos && c != '\0') {
      out += kMeanings[known];
      at_ += 2;
      return;
    }
    const size_t digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    const std::string_view hex = text_.substr(std::min(at_ + 2, text_.size()), digits);
    uint32_t code = 0;
    const auto result = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (digits == 0 || hex.size() != digits || result.ptr != hex.data() + digits || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      fail_here("unknown escape");
    append_utf8(out, code);
    at_ += 2 + digits;
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0, line_start_ = 0;
  int64_t line_ = 1;
  std::string table_;  // with a dot at its end, or empty
  std::vector<TomlEntry> entries_;
  std::unordered_map<std::string, int64_t> set_, tables_, headers_;  // to the line that set them first
};

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& path) {
  if (text.size() > kMaxBytes) fail(path, "", str("larger than ", limit_text(kMaxBytes), " (found ", text.size(), " bytes)"));
  if (const auto kind = looks_like(text); !kind.empty()) fail(path, "", str("looks like ", kind, ", need TOML"));
  const size_t odd = std::min(find_invalid_utf8(text), text.find('\0'));
  if (odd != std::string_view::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(odd), '\n');
    fail(path, str("line ", line), text[odd] == '\0' ? "holds a NUL byte" : "not valid UTF-8");
  }
  DepthScan(text, path).run();
  return Parser(text, path).run();
}

std::vector<TomlEntry> read_toml(const std::string& path) {
  if (const uint64_t size = InputFile(path).size(); size > kMaxBytes)
    fail(path, "", str("larger than ", limit_text(kMaxBytes), " (found ", size, " bytes)"));
  return parse_toml(read_file(path, kMaxBytes), path);
}

std::string toml_text(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) {
    char digits[32];
    std::string out(digits, std::to_chars(digits, digits + sizeof digits, *number).ptr);
    return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
  }
  const auto& text = std::get<std::string>(value);
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.valid) {
      out += "\xef\xbf\xbd";  // U+FFFD: TOML is UTF-8
    } else if (c.code == '"' || c.code == '\\') {
      out += {'\\', static_cast<char>(c.code)};
    } else if (c.code < 0x20 || c.code == 0x7f) {
      out += {'\\', 'u', '0', '0', "0123456789abcdef"[c.code >> 4], "0123456789abcdef"[c.code & 15]};
    } else {
      out += text.substr(at, c.bytes);
    }
    at += c.bytes;
  }
  return out + "\"";
}

}  // namespace aot
