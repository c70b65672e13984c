// SPDX-License-Identifier: Apache-2.0
#include "aot/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "aot/io/error.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

[[noreturn]] void throw_not_opened(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) throw FileError(path, "", "no such file");
  if (error == ELOOP) throw FileError(path, "", "too many levels of symbolic links");
  if (error == ENAMETOOLONG) throw FileError(path, "", "file name too long");
  if (error == EACCES || error == EPERM) throw FileError(path, "", "permission denied", "", ExitCode::io);
  throw FileError(path, "", str("cannot be opened: ", std::strerror(error)), "", ExitCode::io);
}

const char* kind_of(mode_t mode) {
  return S_ISDIR(mode) ? "folder" : S_ISFIFO(mode) ? "pipe" : S_ISSOCK(mode) ? "socket" : "device";
}

int64_t modified_ns(const struct stat& status) {
  return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  if (path.empty()) throw FileError("''", "", "no such file");
  if (path.find('\0') != std::string::npos) throw FileError(path, "", "no such file: the name holds a NUL byte");
  // Asked before opening, because opening a pipe waits and opening a device may do something.
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) throw_not_opened(path, errno);
  if (!S_ISREG(status.st_mode)) throw FileError(path, "", str("not a regular file (found a ", kind_of(status.st_mode), ")"));
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) throw_not_opened(path, errno);
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    throw FileError(path, "", "not a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  modified_ns_ = modified_ns(status);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      modified_ns_(other.modified_ns_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

void InputFile::read_at(uint64_t offset, void* into, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(descriptor_, static_cast<char*>(into) + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      throw FileError(path_, "", str("read error at byte ", offset + done, ": ", std::strerror(error)), "", ExitCode::io);
    }
    if (got == 0)
      throw FileError(path_, "", str("changed while being read (", size_, " bytes at first, now ends at byte ", offset + done, ")"));
    done += static_cast<size_t>(got);
  }
}

void InputFile::check_unchanged() const {
  struct stat status = {};
  if (fstat(descriptor_, &status) != 0 || static_cast<uint64_t>(status.st_size) != size_ || modified_ns(status) != modified_ns_)
    throw FileError(path_, "", "changed while being read");
}

std::string read_file(const std::string& path, uint64_t limit, bool empty_allowed) {
  const InputFile file(path);
  if (file.size() == 0 && !empty_allowed) throw FileError(path, "", "empty file");
  if (file.size() > limit) throw FileError(path, "", str("larger than ", limit_text(limit), " (found ", file.size(), " bytes)"));
  std::string text(file.size(), '\0');
  file.read_at(0, text.data(), text.size());
  file.check_unchanged();
  return text;
}

std::string file_sha256(const InputFile& file) {
  std::vector<char> piece(std::min<uint64_t>(file.size(), 1u << 20));
  Sha256 digest;
  for (uint64_t at = 0; at < file.size(); at += piece.size()) {
    const size_t bytes = std::min<uint64_t>(piece.size(), file.size() - at);
    file.read_at(at, piece.data(), bytes);
    digest.add(piece.data(), bytes);
  }
  file.check_unchanged();
  return digest.hex();
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string without_slash_at_end(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string run_name(const std::string& path) {
  if (path.empty()) return path;
  std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.has_filename() ? whole.filename().string() : path;
}

std::string limit_text(uint64_t bytes) {
  if (bytes >= 1u << 20 && bytes % (1u << 20) == 0) return str(bytes >> 20, " MiB");
  if (bytes >= 1u << 10 && bytes % (1u << 10) == 0) return str(bytes >> 10, " KiB");
  return str(bytes, " bytes");
}

std::string_view looks_like(std::string_view start) {
  using namespace std::string_view_literals;
  static constexpr std::pair<std::string_view, std::string_view> kSignatures[] = {
      {"\x1f\x8b"sv, "gzip"},
      {"PK\x03\x04"sv, "a zip archive (a PyTorch .pt file?)"},
      {"PK\x05\x06"sv, "an empty zip archive"},
      {"\x89PNG"sv, "PNG"},
      {"\xff\xd8\xff"sv, "JPEG"},
      {"GIF8"sv, "GIF"},
      {"%PDF"sv, "PDF"},
      {"\x7f"
       "ELF"sv,
       "ELF"},
      {"BZh"sv, "bzip2"},
      {"\xfd"
       "7zXZ"sv,
       "xz"},
      {"\x28\xb5\x2f\xfd"sv, "zstd"},
      {"\x93NUMPY"sv, "a NumPy array"},
      {"\x80\x02"sv, "a Python pickle"},
      {"\x80\x04"sv, "a Python pickle"},
      {"\xff\xfe"sv, "UTF-16"},
      {"\xfe\xff"sv, "UTF-16"},
      {"<!DOCTYPE"sv, "HTML"},
      {"<!doctype"sv, "HTML"},
      {"<html"sv, "HTML"},
      {"<HTML"sv, "HTML"},
      {"version https://git-lfs"sv, "a Git LFS pointer"},
  };
  for (const auto& [signature, name] : kSignatures)
    if (start.substr(0, signature.size()) == signature) return name;
  return {};
}

}  // namespace aot
