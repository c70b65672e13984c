// SPDX-License-Identifier: Apache-2.0
#include "aot/io/error.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr size_t kLineBytes = 285;  // with "aot: error: " in front, a line stays within 300

/// The end of a path says more than its start.
std::string shown_path(const std::string& path) {
  constexpr size_t kLimit = 100;
  return path.size() <= kLimit ? escaped(path) : "..." + escaped(std::string_view(path).substr(path.size() - kLimit));
}

std::string joined(const std::string& path, const std::string& place, const std::string& problem, const std::string& hint) {
  std::string line;
  if (!path.empty()) line += shown_path(path).substr(0, 120) + ": ";
  if (!place.empty()) line += escaped(place, 80) + ": ";
  line += escaped(problem, kLineBytes - 3 - line.size());
  if (!hint.empty() && line.size() + hint.size() + 2 <= kLineBytes) line += "; " + escaped(hint, kLineBytes - 5 - line.size());
  return line;
}

bool is_unprintable(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

Error::Error(ExitCode exit_code, const std::string& what_failed, const std::string& what_to_do)
    : std::runtime_error(joined("", "", what_failed, what_to_do)), code(exit_code), problem(what_failed), hint(what_to_do) {}

FileError::FileError(const std::string& file, const std::string& where, const std::string& what_failed, const std::string& what_to_do,
                     ExitCode exit_code)
    : Error(exit_code, what_failed, what_to_do), path(file), place(where) {
  static_cast<std::runtime_error&>(*this) = std::runtime_error(joined(path, place, problem, hint));
}

std::string escaped(std::string_view text, size_t limit) {
  static const char* digits = "0123456789abcdef";
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    std::string piece;
    if (c.valid && !is_unprintable(c.code)) {
      piece = text.substr(at, c.bytes);
    } else {
      for (size_t i = 0; i < c.bytes; ++i) {
        const auto byte = static_cast<uint8_t>(text[at + i]);
        piece += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
      }
    }
    if (out.size() + piece.size() > limit) return out + "...";
    out += piece;
    at += c.bytes;
  }
  return out;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace aot
