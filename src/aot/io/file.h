// SPDX-License-Identifier: Apache-2.0
// Reading files from outside: regular files only, by positioned reads into memory we own, size checked before and after.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aot {

/// An open regular file of known size. Movable. Positioned reads are safe from several threads.
class InputFile {
 public:
  /// Throws FileError: no such file, not a regular file, permission denied (exit 4), too many levels of links.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  /// Fills `into` from `offset`; callers ask only for bytes below `size`. Throws FileError: `changed while being read`, or `read error at
  /// byte` (exit 4).
  void read_at(uint64_t offset, void* into, size_t bytes) const;
  /// Throws `changed while being read` if size or modification time differ from those at opening.
  void check_unchanged() const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  int64_t modified_ns_ = 0;
};

/// The whole file. Throws FileError as above, and when empty (unless `empty_allowed`) or larger than `limit` bytes.
std::string read_file(const std::string& path, uint64_t limit, bool empty_allowed = false);

/// SHA-256 of the whole content, read piece by piece.
std::string file_sha256(const InputFile& file);

/// "a/b" -> "a", "b" -> ".", "/b" -> "/".
std::string folder_of(const std::string& path);

/// "a/b//" -> "a/b"; "/" stays.
std::string without_slash_at_end(std::string path);

/// What a run or a checkpoint is called in titles and tables: "a/b" and "a/b/" -> "b"; "." -> the name of the folder that it stands for.
std::string run_name(const std::string& path);

/// A limit as messages show it: "1 MiB", "64 KiB", "1000 bytes".
std::string limit_text(uint64_t bytes);

/// "gzip", "PNG", "ELF", "HTML", "UTF-16" and the like by the first bytes, or empty: for messages such as `looks like gzip`.
std::string_view looks_like(std::string_view start);

}  // namespace aot
