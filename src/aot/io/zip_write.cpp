// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include "aot/io/error.h"
#include "aot/io/zip.h"

namespace aot {
namespace {

constexpr size_t kAlignment = 64;
constexpr uint64_t kLocalBytes = 30 + 20 + 4, kCentralBytes = 46 + 28, kEndBytes = 56 + 20 + 22;  // with ZIP64 fields

void append(std::string& to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i));
}

/// What the headers of an entry in both places share: version 4.5 (ZIP64), no flags, stored, no time (1980-01-01), checksum, and sizes that
/// stand in the ZIP64 field.
void append_common(std::string& to, uint32_t checksum, const std::string& name, uint64_t extra_bytes) {
  append(to, 45, 2);
  append(to, 0, 2 + 2 + 2);
  append(to, 0x21, 2);
  append(to, checksum, 4);
  append(to, 0xFFFFFFFF, 4);
  append(to, 0xFFFFFFFF, 4);
  append(to, name.size(), 2);
  append(to, extra_bytes, 2);
}

std::string local_header(const ZipPart& part, uint32_t checksum, uint64_t offset) {
  const uint64_t padding = (kAlignment - (offset + kLocalBytes + part.name.size()) % kAlignment) % kAlignment;
  std::string out = "PK\x03\x04";
  append_common(out, checksum, part.name, 20 + 4 + padding);
  out += part.name;
  append(out, 1, 2);  // ZIP64
  append(out, 16, 2);
  append(out, part.bytes, 8);
  append(out, part.bytes, 8);
  append(out, 0x4246, 2);  // "FB": padding, as torch.save calls it
  append(out, padding, 2);
  return out.append(padding, 'Z');
}

std::string central_header(const ZipPart& part, uint32_t checksum, uint64_t offset) {
  std::string out = "PK\x01\x02";
  append(out, 45, 2);
  append_common(out, checksum, part.name, 28);
  append(out, 0, 2 + 2);  // no comment, first disk
  append(out, 0, 2 + 4);  // no attributes
  append(out, 0xFFFFFFFF, 4);
  out += part.name;
  append(out, 1, 2);  // ZIP64
  append(out, 24, 2);
  append(out, part.bytes, 8);
  append(out, part.bytes, 8);
  append(out, offset, 8);
  return out;
}

std::string end_records(uint64_t entries, uint64_t directory_bytes, uint64_t directory) {
  std::string out = "PK\x06\x06";
  append(out, 44, 8);  // bytes that follow
  append(out, 45, 2);
  append(out, 45, 2);
  append(out, 0, 4 + 4);  // one disk
  for (const uint64_t value : {entries, entries, directory_bytes, directory}) append(out, value, 8);
  out += "PK\x06\x07";
  append(out, 0, 4);
  append(out, directory + directory_bytes, 8);
  append(out, 1, 4);
  out += "PK\x05\x06";
  append(out, 0, 2 + 2);
  append(out, 0xFFFF, 2);
  append(out, 0xFFFF, 2);
  append(out, 0xFFFFFFFF, 4);
  append(out, 0xFFFFFFFF, 4);
  append(out, 0, 2);
  return out;
}

}  // namespace

std::string write_zip(const std::string& path, const std::vector<ZipPart>& parts) {
  uint64_t total = kEndBytes;
  for (const ZipPart& part : parts) total += part.bytes + kLocalBytes + kAlignment + kCentralBytes + 2 * part.name.size();
  require_free_space(folder_of(path), total);

  OutputFile file(path);
  std::string directory;
  for (const ZipPart& part : parts) {
    uint64_t bytes = 0;
    uLong checksum = crc32_z(0, nullptr, 0);
    part.write([&](const void* data, size_t count) {
      checksum = crc32_z(checksum, static_cast<const Bytef*>(data), count);
      bytes += count;
    });
    if (bytes != part.bytes)
      throw Error(ExitCode::failed, str("write_zip: entry '", part.name, "' has ", bytes, " bytes, not ", part.bytes));
    const auto checksum32 = static_cast<uint32_t>(checksum);
    directory += central_header(part, checksum32, file.bytes());
    file.write(local_header(part, checksum32, file.bytes()));
    part.write([&](const void* data, size_t count) { file.write(data, count); });
  }
  const uint64_t start = file.bytes();
  file.write(directory);
  file.write(end_records(parts.size(), directory.size(), start));
  return file.finish();
}

}  // namespace aot
