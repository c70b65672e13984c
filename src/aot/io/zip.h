// SPDX-License-Identifier: Apache-2.0
// ZIP archives whose entries are stored, not compressed: what torch.save writes. Large archives (ZIP64) too.
// [PKWARE, APPNOTE.TXT - .ZIP File Format Specification 6.3.10]
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "aot/io/file.h"
#include "aot/io/output.h"

namespace aot {

struct ZipEntry {
  std::string name;     // a label, never a path
  uint64_t offset = 0;  // of its data, from the start of the file
  uint64_t bytes = 0;
  uint32_t checksum = 0;  // CRC-32 of its data
};

class ZipFile {
 public:
  /// Reads and checks the directory. Throws FileError: `looks like`, `not a ZIP archive`, `compressed`, `encrypted`, `past the end`,
  /// `overlaps`, `duplicate entry`.
  explicit ZipFile(const std::string& path);
  [[nodiscard]] const InputFile& file() const { return file_; }
  /// In order of name.
  [[nodiscard]] const std::vector<ZipEntry>& entries() const { return entries_; }
  [[nodiscard]] const ZipEntry* find(const std::string& name) const;
  /// Copies `bytes` bytes of an entry from its byte `skip` on; a whole entry is checked (`checksum mismatch`). REQUIRES: inside the entry.
  void read(const ZipEntry& entry, uint64_t skip, void* into, size_t bytes) const;

 private:
  InputFile file_;
  std::vector<ZipEntry> entries_;
};

/// An entry to write. `write` gives its `bytes` bytes to the sink and is called twice, since their checksum stands before them.
struct ZipPart {
  std::string name;
  uint64_t bytes = 0;
  std::function<void(const ByteSink&)> write;
};

/// Writes a new archive after asking for the space, the data of each entry at a multiple of 64 bytes as torch.save does. Returns the
/// SHA-256 of the file.
std::string write_zip(const std::string& path, const std::vector<ZipPart>& parts);

}  // namespace aot
