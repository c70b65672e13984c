// SPDX-License-Identifier: Apache-2.0
#include "aot/io/idx.h"

#include <array>
#include <limits>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr uint8_t kUnsignedByte = 8;
constexpr int64_t kMaxDimensions = 4;

}  // namespace

IdxFile::IdxFile(const std::string& path) : stream_(path) {
  std::array<uint8_t, 4> magic = {};
  if (stream_.read(magic.data(), magic.size()) != magic.size()) throw FileError(path, "", "header needs at least 4 bytes");
  if (magic[0] != 0 || magic[1] != 0) {
    if (magic[2] == 0 && magic[3] == 0 && magic[1] == kUnsignedByte)
      throw FileError(path, "byte 0", "bad magic: the other byte order?", "IDX is big-endian");
    const std::string_view kind = looks_like({reinterpret_cast<const char*>(magic.data()), magic.size()});
    throw FileError(path, "byte 0", str("bad magic for IDX", kind.empty() ? "" : ", looks like ", kind));
  }
  if (magic[2] != kUnsignedByte)
    throw FileError(path, "byte 2", str("bad magic: elements of type ", int{magic[2]}, ", need 8 (unsigned bytes)"));
  const int64_t dimensions = magic[3];
  if (dimensions < 1 || dimensions > kMaxDimensions)
    throw FileError(path, "byte 3", str("bad magic: ", dimensions, " dimensions, need 1 to ", kMaxDimensions));

  std::array<uint8_t, 4 * kMaxDimensions> sizes = {};
  const auto size_bytes = static_cast<size_t>(4 * dimensions);
  if (stream_.read(sizes.data(), size_bytes) != size_bytes)
    throw FileError(path, "", str("cut: header needs ", 4 + size_bytes, " bytes for ", dimensions, " dimensions"));
  int64_t total = 1;
  for (size_t at = 0; at < size_bytes; at += 4) {
    const int64_t size = int64_t{sizes[at]} << 24 | int64_t{sizes[at + 1]} << 16 | int64_t{sizes[at + 2]} << 8 | int64_t{sizes[at + 3]};
    if (size == 0) throw FileError(path, str("byte ", 4 + at), str("dimension ", at / 4, " is 0"));
    if (size > std::numeric_limits<int64_t>::max() / total) throw FileError(path, str("byte ", 4 + at), "size overflows");
    total *= size;
    if (at > 0) item_bytes_ *= size;
    shape_.push_back(size);
  }
  const uint64_t header = 4 + size_bytes, most = stream_.most_bytes();
  if (most < header || most - header < static_cast<uint64_t>(total))
    throw FileError(
        path, "",
        str("header needs ", total, " bytes behind it, file has ", stream_.is_gzip() ? "at most " : "", most < header ? 0 : most - header));
  if (!stream_.is_gzip() && most - header > static_cast<uint64_t>(total))
    throw FileError(path, "", str("header needs ", total, " bytes behind it, file has ", most - header));
}

void IdxFile::read_item(uint8_t* into) {
  const size_t got = stream_.read(into, static_cast<size_t>(item_bytes_));
  if (got != static_cast<size_t>(item_bytes_))
    throw FileError(path(), str("record ", read_), str("cut: header needs ", count(), " records of ", item_bytes_, " bytes"));
  uint8_t behind = 0;
  if (++read_ == count() && stream_.read(&behind, 1) != 0) throw FileError(path(), "", str("has bytes behind its ", count(), " records"));
}

}  // namespace aot
