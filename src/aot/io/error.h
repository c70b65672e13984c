// SPDX-License-Identifier: Apache-2.0
// What a refused input says, and with which exit code the command ends (docs/io.md).
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace aot {

/// Exit codes of the command. A clean stop on signal n ends with 128 + n.
enum class ExitCode {
  done = 0,
  failed = 1,    // non-finite training, a failed check, an internal error
  usage = 2,     // command line, environment, configuration file
  bad_file = 3,  // an input is missing, damaged or not what it must be
  io = 4,        // the machine failed us: read or write error, permission, space, memory
};

/// Joins its arguments as streams print them.
template <class... Args>
std::string str(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

/// The one exception of this project: printed by `main` as `aot: error: PATH: PLACE: PROBLEM; HINT`.
class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, const std::string& what_failed, const std::string& what_to_do = "");
  ExitCode code;
  std::string problem, hint;
};

/// A command line, environment variable or configuration value that cannot be used.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& what_failed, const std::string& what_to_do = "")
      : Error(ExitCode::usage, what_failed, what_to_do) {}
};

/// A file that cannot be used. `place` is `byte N`, `line N, column M`, `tensor 'NAME'`, `key 'a.b'`, `record N`, or empty.
class FileError : public Error {
 public:
  FileError(const std::string& file, const std::string& where, const std::string& what_failed, const std::string& what_to_do = "",
            ExitCode exit_code = ExitCode::bad_file);
  std::string path, place;
};

/// Printable form of untrusted text: control characters and bidirectional overrides as `\x1b`, invalid UTF-8 as `\xff`, at most `limit`
/// bytes.
std::string escaped(std::string_view text, size_t limit = 200);

/// The known name nearest to `name` by edit distance, or empty when none is near.
template <class Names>
std::string nearest_name(std::string_view name, const Names& known);

size_t edit_distance(std::string_view a, std::string_view b);

template <class Names>
std::string nearest_name(std::string_view name, const Names& known) {
  std::string best;
  size_t best_distance = name.size() / 3 + 2;
  for (const auto& candidate : known) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace aot
