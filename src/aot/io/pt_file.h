// SPDX-License-Identifier: Apache-2.0
// Files written by torch.save: a ZIP archive of one pickle and the numbers of its storages. Nothing is executed (io/pickle.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aot/io/pickle.h"
#include "aot/io/zip.h"

namespace aot {

class PtFile {
 public:
  /// Reads the archive's directory and its pickle, and sees to it that every storage is there in full.
  explicit PtFile(const std::string& path);
  [[nodiscard]] const std::string& path() const { return zip_.file().path(); }
  [[nodiscard]] PickleValue root() const { return pickle_.root(); }
  [[nodiscard]] const std::string& dtype(const PickleTensor& tensor) const { return pickle_.storages()[tensor.storage].dtype; }
  /// Copies `bytes` bytes of the tensor's storage, from its element 0 plus `skip` bytes on. REQUIRES: a range inside the storage.
  void read(const PickleTensor& tensor, uint64_t skip, void* into, size_t bytes) const;

 private:
  [[nodiscard]] const ZipEntry& entry_of(const PickleStorage& storage) const;

  ZipFile zip_;
  std::string prefix_;  // of every entry's name
  Pickle pickle_;
};

}  // namespace aot
