// SPDX-License-Identifier: Apache-2.0
// Saving a folder of files so that it is there whole or not at all (docs/core.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aot/io/manifest.h"

namespace aot {

/// PARENT/.tmp-NAME-PID-RANDOM, locked while it lives: whoever can lock it too knows that its writer is gone. Makes the parents. Removes
/// what is under that path at its end: nothing, once it was renamed. Throws FileError (exit 4).
class TemporaryFolder {
 public:
  TemporaryFolder(const std::string& parent, const std::string& name, unsigned mode);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_ = -1;
};

/// Collects files in a TemporaryFolder and puts them into place as PARENT/NAME in one rename. Every failure throws FileError
/// (exit 4).
class AtomicFolder {
 public:
  AtomicFolder(std::string parent, std::string name);

  /// Path to write a file of that plain name at; afterwards tell its digest by `add`.
  [[nodiscard]] std::string path_of(const std::string& file) const;
  void add(const std::string& file, uint64_t bytes, const std::string& sha256);
  /// Writes and adds a small text file.
  void add_text(const std::string& file, std::string_view text);
  /// Manifest last, fsync, rename (an existing folder of that name is exchanged, then removed), fsync of the parent.
  void commit(Manifest manifest);

 private:
  std::string parent_, name_;
  TemporaryFolder temporary_;
  std::vector<ManifestFile> files_;
};

/// Replaces the relative symbolic link PARENT/LINK -> TARGET atomically.
void replace_link(const std::string& parent, const std::string& link, const std::string& target);

/// Removes what `.tmp-*` in `parent` was left by writers that are gone; with a name, only what was on its way to that name. For the start
/// of a program: a `.tmp-*` file of this process is a leftover of an earlier process with the same number.
void remove_leftovers(const std::string& parent, const std::string& name = "");

/// Holds FOLDER/.lock for this process, so that two runs never share a folder. A lock left by a process that is gone is taken over with a
/// note.
class FolderLock {
 public:
  /// Throws FileError (exit 4) `in use by process N`.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace aot
