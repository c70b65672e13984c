// SPDX-License-Identifier: Apache-2.0
#include "aot/io/toml.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include <toml++/toml.h>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr size_t kMaxBytes = 1u << 20;
constexpr int kMaxDepth = 64;

[[noreturn]] void fail(const std::string& path, const std::string& place, const std::string& problem, const std::string& hint = "") {
  throw FileError(path, place, problem, hint, ExitCode::usage);
}

/// Follows strings, comments, brackets and dots as far as needed to bound the recursion of toml++ 3.3, which has no limit for dotted keys.
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
    if (brackets_ > kMaxDepth || dots_ >= kMaxDepth) fail(path_, str("line ", line_), str("nested deeper than ", kMaxDepth));
  }

  void skip_string(char quote) {
    const bool multi_line = text_.substr(at_, 3) == std::string(3, quote);
    at_ += multi_line ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        at_ += 2;
      } else if (c == '\n' && !multi_line) {
        return;  // an error that toml++ will name
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

std::string type_text(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

void collect(const toml::table& table, const std::string& prefix, const std::string& path, std::vector<TomlEntry>& entries) {
  for (const auto& [key, node] : table) {
    TomlEntry entry;
    entry.key = prefix + std::string(key.str());
    entry.line = static_cast<int64_t>(key.source().begin.line);
    if (const auto* inner = node.as_table()) {
      collect(*inner, entry.key + ".", path, entries);
      continue;
    }
    if (const auto* flag = node.as_boolean()) {
      entry.value = flag->get();
    } else if (const auto* integer = node.as_integer()) {
      entry.value = integer->get();
    } else if (const auto* number = node.as_floating_point()) {
      entry.value = number->get();
    } else if (const auto* text = node.as_string()) {
      entry.value = text->get();
    } else {
      fail(path, str("line ", entry.line),
           str("key '", entry.key, "': need a text, a number, true or false (found ", type_text(node), ")"));
    }
    entries.push_back(std::move(entry));
  }
}

std::vector<TomlEntry> sorted_entries(const toml::table& table, const std::string& path) {
  std::vector<TomlEntry> entries;
  collect(table, "", path, entries);
  std::stable_sort(entries.begin(), entries.end(), [](const TomlEntry& a, const TomlEntry& b) { return a.line < b.line; });
  return entries;
}

/// The line that first set the key which `error` found set again, or 0 when that cannot be told.
int64_t line_of_first(std::string_view text, const toml::parse_error& error) {
  const std::string_view message = error.description();
  const size_t quote = message.find('\'');
  if (message.find("redefine existing") == std::string_view::npos || quote == std::string_view::npos) return 0;
  const std::string key(message.substr(quote + 1, message.find('\'', quote + 1) - quote - 1));
  size_t end = 0;
  for (toml::source_index line = 1; line < error.source().begin.line && end < text.size(); ++line) end = text.find('\n', end) + 1;
  int64_t found = 0;
  try {
    for (const TomlEntry& entry : sorted_entries(toml::parse(text.substr(0, end)), "")) {
      const bool same_tail = entry.key.size() > key.size() && entry.key.substr(entry.key.size() - key.size() - 1) == "." + key;
      if (entry.key == key || same_tail) found = entry.line;
    }
  } catch (const std::exception&) {
    return 0;  // the message is a help, not worth a second error
  }
  return found;
}

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
  try {
    return sorted_entries(toml::parse(text), path);
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    const std::string place = str("line ", begin.line, ", column ", begin.column);
    if (const int64_t first = line_of_first(text, error); first > 0) fail(path, place, str("already set at line ", first));
    fail(path, place, std::string(error.description()));
  }
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
