// SPDX-License-Identifier: Apache-2.0
// Saving a folder of files so that it is there whole or not at all (docs/core.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aot/io/manifest.h"

namespace aot {

/// Collects files in PARENT/.tmp-NAME-PID-RANDOM and puts them into place as PARENT/NAME in one rename. Every failure throws FileError
/// (exit 4).
class AtomicFolder {
 public:
  AtomicFolder(std::string parent, std::string name);
  ~AtomicFolder();  // removes the temporary folder unless committed
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Path to write a file of that plain name at; afterwards tell its digest by `add`.
  [[nodiscard]] std::string path_of(const std::string& file) const;
  void add(const std::string& file, uint64_t bytes, const std::string& sha256);
  /// Writes and adds a small text file.
  void add_text(const std::string& file, std::string_view text);
  /// Manifest last, fsync, rename (an existing folder of that name is exchanged, then removed), fsync of the parent.
  void commit(Manifest manifest);

 private:
  std::string parent_, name_, temporary_;
  std::vector<ManifestFile> files_;
  int descriptor_ = -1;  // of the temporary folder, locked: whoever can lock it too knows that its writer is gone
};

/// Replaces the relative symbolic link PARENT/LINK -> TARGET atomically.
void replace_link(const std::string& parent, const std::string& link, const std::string& target);

/// Removes what `.tmp-*` in `parent` was left by writers that are gone. For the start of a program: a `.tmp-*` file of this process is a
/// leftover of an earlier process with the same number.
void remove_leftovers(const std::string& parent);

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
