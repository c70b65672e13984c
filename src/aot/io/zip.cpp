// SPDX-License-Identifier: Apache-2.0
#include "aot/io/zip.h"

#include <zlib.h>

#include <algorithm>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr uint64_t kMaxEntries = 100'000, kMaxDirectoryBytes = 64u << 20, kMaxNameBytes = 512;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kCentralBytes = 46, kLocalBytes = 30;
constexpr size_t kLongestComment = 65'535;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the number stands in the ZIP64 field

uint64_t little_endian(const char* at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(at[i]);
  return value;
}
uint16_t u16(const char* at) {
  return static_cast<uint16_t>(little_endian(at, 2));
}
uint32_t u32(const char* at) {
  return static_cast<uint32_t>(little_endian(at, 4));
}
uint64_t u64(const char* at) {
  return little_endian(at, 8);
}

bool is_signature(const char* at, char third, char fourth) {
  return at[0] == 'P' && at[1] == 'K' && at[2] == third && at[3] == fourth;
}

struct Directory {
  uint64_t offset = 0, bytes = 0, entries = 0;
};

/// Finds the directory from the record at the end of the file.
Directory find_directory(const InputFile& file) {
  if (file.size() == 0) throw FileError(file.path(), "", "empty file");
  char start[16] = {};
  file.read_at(0, start, std::min<uint64_t>(file.size(), sizeof start));
  if (start[0] != 'P' || start[1] != 'K') {
    const auto kind = looks_like({start, sizeof start});
    throw FileError(file.path(), "", kind.empty() ? "not a ZIP archive" : str("looks like ", kind, ", need a ZIP archive"),
                    "save it again with torch.save of PyTorch 1.6 or newer");
  }
  std::string tail(std::min<uint64_t>(file.size(), kEndBytes + kLongestComment), '\0');
  const uint64_t tail_start = file.size() - tail.size();
  file.read_at(tail_start, tail.data(), tail.size());
  const char* end = nullptr;
  for (size_t back = kEndBytes; back <= tail.size() && end == nullptr; ++back) {
    const char* at = tail.data() + tail.size() - back;
    if (is_signature(at, 5, 6) && u16(at + 20) == back - kEndBytes) end = at;
  }
  if (end == nullptr) throw FileError(file.path(), "", "not a ZIP archive: its directory is missing", "the file is cut or damaged");

  const uint64_t end_offset = tail_start + static_cast<uint64_t>(end - tail.data());
  const std::string place = str("byte ", end_offset);
  Directory directory{u32(end + 16), u32(end + 12), u16(end + 10)};
  uint64_t limit = end_offset;  // the directory ends here at the latest
  char locator[kLocatorBytes];
  if (end_offset >= kLocatorBytes) {
    file.read_at(end_offset - kLocatorBytes, locator, sizeof locator);
    if (is_signature(locator, 6, 7)) {
      limit = end_offset - kLocatorBytes;
      const uint64_t record = u64(locator + 8);
      if (record > limit || kEnd64Bytes > limit - record) throw FileError(file.path(), place, "ZIP64 record past the end of the file");
      char end64[kEnd64Bytes];
      file.read_at(record, end64, sizeof end64);
      if (!is_signature(end64, 6, 6)) throw FileError(file.path(), str("byte ", record), "no ZIP64 record where one should be");
      directory = {u64(end64 + 48), u64(end64 + 40), u64(end64 + 32)};
      limit = record;
    }
  }
  if (directory.offset > limit || directory.bytes > limit - directory.offset)
    throw FileError(file.path(), place, "the directory leads past the end of the file");
  if (directory.bytes > kMaxDirectoryBytes)
    throw FileError(file.path(), place, str("directory larger than ", limit_text(kMaxDirectoryBytes)));
  if (directory.entries > kMaxEntries) throw FileError(file.path(), place, str("more than ", kMaxEntries, " entries"));
  if (directory.entries > directory.bytes / kCentralBytes)
    throw FileError(file.path(), place, str(directory.entries, " entries do not fit in a directory of ", directory.bytes, " bytes"));
  return directory;
}

/// Walks the directory of one archive.
class DirectoryReader {
 public:
  DirectoryReader(const InputFile& file, const Directory& directory) : file_(file), directory_(directory), text_(directory.bytes, '\0') {
    file_.read_at(directory.offset, text_.data(), text_.size());
  }

  std::vector<ZipEntry> run() {
    std::vector<ZipEntry> entries;
    for (uint64_t i = 0; i < directory_.entries; ++i) entries.push_back(next());
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw FileError(file_.path(), str("byte ", directory_.offset + at_), problem);
  }
  [[noreturn]] void fail(const ZipEntry& entry, const std::string& problem, const std::string& hint = "") const {
    throw FileError(file_.path(), "entry '" + escaped(entry.name, 80) + "'", problem, hint);
  }

  ZipEntry next() {
    if (kCentralBytes > text_.size() - at_) fail("the directory is cut");
    const char* header = text_.data() + at_;
    if (!is_signature(header, 1, 2)) fail("no entry of the directory where one should be");
    const uint64_t name_bytes = u16(header + 28), extra_bytes = u16(header + 30), comment_bytes = u16(header + 32);
    if (name_bytes + extra_bytes + comment_bytes > text_.size() - at_ - kCentralBytes) fail("the directory is cut");
    if (name_bytes > kMaxNameBytes) fail(str("name longer than ", kMaxNameBytes, " bytes"));
    ZipEntry entry;
    entry.name.assign(header + kCentralBytes, name_bytes);
    uint64_t packed = u32(header + 20), local = u32(header + 42);
    entry.bytes = u32(header + 24);
    entry.checksum = u32(header + 16);
    read_zip64(entry, {header + kCentralBytes + name_bytes, extra_bytes}, packed, local);
    if ((u16(header + 8) & 1) != 0) fail(entry, "encrypted");
    if (u16(header + 10) != 0 || packed != entry.bytes)
      fail(entry, "compressed, need stored entries", "save it again with torch.save of PyTorch 1.6 or newer");
    place(entry, local);
    at_ += kCentralBytes + name_bytes + extra_bytes + comment_bytes;
    return entry;
  }

  /// Takes the numbers that did not fit in 32 bits from the extra field, in the order that the format gives them.
  void read_zip64(ZipEntry& entry, std::string_view extra, uint64_t& packed, uint64_t& local) const {
    if (entry.bytes != kIn64 && packed != kIn64 && local != kIn64) return;
    while (extra.size() >= 4) {
      const uint64_t kind = u16(extra.data()), bytes = u16(extra.data() + 2);
      extra.remove_prefix(4);
      if (bytes > extra.size()) break;
      if (kind == 1) {
        std::string_view numbers = extra.substr(0, bytes);
        for (uint64_t* number : {&entry.bytes, &packed, &local}) {
          if (*number != kIn64) continue;
          if (numbers.size() < 8) fail(entry, "its ZIP64 field is cut");
          *number = u64(numbers.data());
          numbers.remove_prefix(8);
        }
        return;
      }
      extra.remove_prefix(bytes);
    }
    fail(entry, "its ZIP64 field is missing");
  }

  void place(ZipEntry& entry, uint64_t local) const {
    const uint64_t end = directory_.offset;  // data stand before the directory
    if (local > end || kLocalBytes > end - local) fail(entry, "leads past the end of the file");
    char header[kLocalBytes];
    file_.read_at(local, header, sizeof header);
    if (!is_signature(header, 3, 4)) fail(entry, "no entry where the directory says");
    const uint64_t name_bytes = u16(header + 26), skipped = kLocalBytes + name_bytes + u16(header + 28);
    if (skipped > end - local || entry.bytes > end - local - skipped) fail(entry, "leads past the end of the file");
    std::string name(name_bytes, '\0');
    file_.read_at(local + kLocalBytes, name.data(), name.size());
    if (name != entry.name) fail(entry, str("is called '", escaped(name, 80), "' where it stands"));
    entry.offset = local + skipped;
  }

  const InputFile& file_;
  const Directory& directory_;
  std::string text_;
  size_t at_ = 0;
};

}  // namespace

ZipFile::ZipFile(const std::string& path) : file_(path) {
  const Directory directory = find_directory(file_);
  entries_ = DirectoryReader(file_, directory).run();
  std::sort(entries_.begin(), entries_.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes; });
  for (size_t i = 1; i < entries_.size(); ++i)
    if (entries_[i].offset - entries_[i - 1].offset < entries_[i - 1].bytes)
      throw FileError(path, "entry '" + escaped(entries_[i].name, 80) + "'",
                      str("overlaps entry '", escaped(entries_[i - 1].name, 80), "'"));
  std::sort(entries_.begin(), entries_.end(), [](const ZipEntry& a, const ZipEntry& b) { return a.name < b.name; });
  for (size_t i = 1; i < entries_.size(); ++i)
    if (entries_[i].name == entries_[i - 1].name) throw FileError(path, "entry '" + escaped(entries_[i].name, 80) + "'", "duplicate entry");
  file_.check_unchanged();
}

const ZipEntry* ZipFile::find(const std::string& name) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), name,
                                      [](const ZipEntry& entry, const std::string& wanted) { return entry.name < wanted; });
  return found != entries_.end() && found->name == name ? &*found : nullptr;
}

void ZipFile::read(const ZipEntry& entry, uint64_t skip, void* into, size_t bytes) const {
  file_.read_at(entry.offset + skip, into, bytes);
  file_.check_unchanged();
  if (bytes == entry.bytes && crc32_z(0, static_cast<const Bytef*>(into), bytes) != entry.checksum)
    throw FileError(file_.path(), "entry '" + escaped(entry.name, 80) + "'", "checksum mismatch", "the file is damaged");
}

}  // namespace aot
