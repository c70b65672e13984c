// SPDX-License-Identifier: Apache-2.0
// Flat configuration files: `key = value` lines in TOML 1.0, scanned for size and depth first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace aot {

/// A setting's value as a configuration file, a flag or an options struct holds it.
using Value = std::variant<bool, int64_t, double, std::string>;

struct TomlEntry {
  std::string key;  // `a.b` for key b of table a
  Value value;
  int64_t line = 0;
};

/// The entries of a TOML document in order of lines. Arrays, dates and nested tables' contents are accepted only as scalars under dotted
/// keys.
///   Throws FileError (exit 2: a configuration is usage) with line and column on bad syntax, a key set twice, a value that is no scalar,
///   more than 1 MiB, nesting deeper than 64, invalid UTF-8 or NUL.
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& path);

/// Reads and parses a file; one larger than 1 MiB is refused unread.
std::vector<TomlEntry> read_toml(const std::string& path);

/// The value of a key; nothing where there is none, or one of another type.
template <class T>
std::optional<T> value_of(const std::vector<TomlEntry>& entries, std::string_view key) {
  for (const TomlEntry& entry : entries)
    if (entry.key == key && std::holds_alternative<T>(entry.value)) return std::get<T>(entry.value);
  return std::nullopt;
}

/// `value` as TOML writes it, e.g. `"a\"b"`, `0.001`, `true`. A double always reads back as the same double.
std::string toml_text(const Value& value);

}  // namespace aot
