// SPDX-License-Identifier: Apache-2.0
#include "aot/io/pt_file.h"

#include "aot/io/error.h"
#include "aot/io/safetensors.h"

namespace aot {
namespace {

constexpr std::string_view kPickle = "data.pkl";
constexpr uint64_t kMaxPickleBytes = 64u << 20;

std::string read_entry(const ZipFile& zip, const ZipEntry& entry, uint64_t limit) {
  if (entry.bytes > limit)
    throw FileError(zip.file().path(), "entry '" + escaped(entry.name, 80) + "'", str("larger than ", limit_text(limit)));
  std::string text(entry.bytes, '\0');
  zip.read(entry, 0, text.data(), text.size());
  return text;
}

/// What stands before "data.pkl" in the one entry of that name.
std::string find_prefix(const ZipFile& zip) {
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash != std::string::npos && std::string_view(entry.name).substr(slash + 1) == kPickle) return entry.name.substr(0, slash + 1);
  }
  throw FileError(zip.file().path(), "", "holds no data.pkl, so torch.save did not write it");
}

}  // namespace

PtFile::PtFile(const std::string& path)
    : zip_(path),
      prefix_(find_prefix(zip_)),
      pickle_(Pickle::parse(read_entry(zip_, *zip_.find(prefix_ + std::string(kPickle)), kMaxPickleBytes), path)) {
  if (const ZipEntry* order = zip_.find(prefix_ + "byteorder"); order != nullptr && read_entry(zip_, *order, 16) != "little")
    throw FileError(path, "entry 'byteorder'", "numbers of another byte order, need 'little'");
  for (const PickleStorage& storage : pickle_.storages()) {
    const ZipEntry& entry = entry_of(storage);
    const size_t size = safetensors_dtype_bytes(storage.dtype);
    if (entry.bytes % size != 0 || entry.bytes / size != static_cast<uint64_t>(storage.count))
      throw FileError(path, "storage '" + escaped(storage.key, 40) + "'",
                      str("needs ", storage.count, " numbers of ", size, " bytes, the archive holds ", entry.bytes, " bytes"));
  }
  zip_.file().check_unchanged();
}

const ZipEntry& PtFile::entry_of(const PickleStorage& storage) const {
  const ZipEntry* entry = zip_.find(prefix_ + "data/" + storage.key);
  if (entry == nullptr) throw FileError(path(), "storage '" + escaped(storage.key, 40) + "'", "missing from the archive");
  return *entry;
}

void PtFile::read(const PickleTensor& tensor, uint64_t skip, void* into, size_t bytes) const {
  const PickleStorage& storage = pickle_.storages()[tensor.storage];
  const uint64_t first = static_cast<uint64_t>(tensor.offset) * safetensors_dtype_bytes(storage.dtype);
  zip_.read(entry_of(storage), first + skip, into, bytes);
}

}  // namespace aot
