// SPDX-License-Identifier: Apache-2.0
// Writing files so that a crash or a full disk leaves the old one or the new one, never half of one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "aot/io/sha256.h"

namespace aot {

/// Takes bytes in the order in which they are to stand.
using ByteSink = std::function<void(const void* data, size_t bytes)>;

/// A new file, written with raw descriptors: short writes and EINTR handled, SHA-256 taken on the way.
/// Every failure throws FileError with exit 4, naming bytes needed and free when the disk is full.
class OutputFile {
 public:
  /// Creates `path`; it must not exist.
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // closes; a file that was not finished is removed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  /// fsync, close. Returns the SHA-256 of the content.
  std::string finish();

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
  Sha256 digest_;
};

/// FOLDER/.tmp-NAME-PID-RANDOM: what every file or folder in the making is called, so that leftovers can be told.
std::string temporary_path(const std::string& folder, const std::string& name);

/// Puts a finished file in the place of `path`, which is in the same folder: rename, fsync of the folder.
void put_file_into_place(const std::string& temporary, const std::string& path);
/// Replaces or creates `path` with `text`: temporary in the same folder, fsync, rename, fsync of the folder.
void write_file_atomically(const std::string& path, std::string_view text);
/// Throws FileError (exit 4) when `path` is a folder or nothing can be written beside it: for the start of what takes long to make.
void require_writable(const std::string& path);
/// Throws FileError (exit 4) with both numbers unless the file system of `folder` has `bytes` free.
void require_free_space(const std::string& folder, uint64_t bytes);
void sync_folder(const std::string& folder);
/// mkdir -p. Throws FileError (exit 4), also when something that is no folder is in the way.
void make_folders(const std::string& folder);

}  // namespace aot
