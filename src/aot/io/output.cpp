// SPDX-License-Identifier: Apache-2.0
#include "aot/io/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include "aot/io/error.h"
#include "aot/io/file.h"

namespace aot {
namespace {

uint64_t free_bytes(const std::string& folder) {
  struct statvfs space = {};
  return statvfs(folder.c_str(), &space) == 0 ? static_cast<uint64_t>(space.f_bavail) * space.f_frsize : UINT64_MAX;
}

[[noreturn]] void throw_failed(const std::string& path, const char* what, int error, uint64_t bytes_needed = 0) {
  if (error == ENOSPC || error == EDQUOT)
    throw FileError(path, "", str("no space left (need ", bytes_needed, " more bytes, ", free_bytes(folder_of(path)), " free)"), "",
                    ExitCode::io);
  if (error == EACCES || error == EPERM) throw FileError(path, "", "permission denied", "", ExitCode::io);
  throw FileError(path, "", str(what, ": ", std::strerror(error)), "", ExitCode::io);
}

}  // namespace

OutputFile::OutputFile(const std::string& path)
    : path_(path), descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw_failed(path, "cannot be created", errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(path_.c_str());
}

void OutputFile::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  for (size_t left = bytes; left > 0;) {
    const ssize_t written = ::write(descriptor_, next, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_failed(path_, "write error", errno, left);
    if (written == 0) throw_failed(path_, "write error", EIO);
    digest_.add(next, static_cast<size_t>(written));
    next += written;
    left -= static_cast<size_t>(written);
    bytes_ += static_cast<uint64_t>(written);
  }
}

std::string OutputFile::finish() {
  if (fsync(descriptor_) != 0) throw_failed(path_, "fsync failed", errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (close(descriptor) != 0 && errno != EINTR) {
    const int error = errno;
    unlink(path_.c_str());
    throw_failed(path_, "close failed", error);
  }
  return digest_.hex();
}

std::string temporary_path(const std::string& folder, const std::string& name) {
  return str(folder, "/.tmp-", name, "-", getpid(), "-", std::random_device{}());
}

void write_file_atomically(const std::string& path, std::string_view text) {
  const std::string temporary = temporary_path(folder_of(path), path.substr(path.find_last_of('/') + 1));
  OutputFile file(temporary);
  file.write(text);
  file.finish();
  put_file_into_place(temporary, path);
}

void put_file_into_place(const std::string& temporary, const std::string& path) {
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    throw_failed(path, "cannot be replaced", error);
  }
  sync_folder(folder_of(path));
}

void require_writable(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) throw_failed(path, "cannot be replaced", EISDIR);
  if (access((folder_of(path) + "/.").c_str(), W_OK | X_OK) != 0) throw_failed(path, "cannot be written", errno);
}

void require_free_space(const std::string& folder, uint64_t bytes) {
  const uint64_t available = free_bytes(folder);
  if (bytes > available) throw FileError(folder, "", str("no space left (need ", bytes, " bytes, ", available, " free)"), "", ExitCode::io);
}

void sync_folder(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_failed(folder, "cannot be opened", errno);
  const int result = fsync(descriptor);
  const int error = errno;
  close(descriptor);
  // Some network file systems cannot sync a folder and say EINVAL; there the server decides.
  if (result != 0 && error != EINVAL) throw_failed(folder, "fsync failed", error);
}

void make_folders(const std::string& folder) {
  struct stat status = {};
  if (stat(folder.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return;
    throw FileError(folder, "", "is in the way: not a folder", "", ExitCode::io);
  }
  const std::string trimmed = folder.substr(0, folder.find_last_not_of('/') + 1);
  const std::string parent = folder_of(trimmed);
  if (errno == ENOENT && parent != trimmed && parent != ".") make_folders(parent);
  if (mkdir(trimmed.c_str(), 0777) != 0 && errno != EEXIST) throw_failed(folder, "cannot be made", errno);
  sync_folder(parent);
}

}  // namespace aot
