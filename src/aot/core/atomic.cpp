// SPDX-License-Identifier: Apache-2.0
#include "aot/core/atomic.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "aot/core/log.h"
#include "aot/io/error.h"
#include "aot/io/output.h"

namespace aot {
namespace {

[[noreturn]] void throw_failed(const std::string& path, const char* what, int error) {
  throw FileError(path, "", str(what, ": ", std::strerror(error)), "", ExitCode::io);
}

void remove_quietly(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

/// Whether `file` is ".tmp-NAME-PID-RANDOM" of that very name.
bool is_temporary_of(const std::string& name, const std::string& file) {
  const std::string start = ".tmp-" + name + "-";
  if (file.rfind(start, 0) != 0) return false;
  const std::string rest = file.substr(start.size());
  const size_t dash = rest.find('-');
  return dash != std::string::npos && dash > 0 && dash + 1 < rest.size() && rest.find_first_not_of("0123456789") == dash &&
         rest.find_first_not_of("0123456789", dash + 1) == std::string::npos;
}

void remove_leftover(const std::string& path) {
  log_detail("removing " + escaped(path) + ", which an earlier process left unfinished");
  remove_quietly(path);
}

/// The process number in ".tmp-NAME-PID-RANDOM", or 0.
pid_t writer_of(const std::string& name) {
  const size_t last = name.rfind('-');
  const size_t before = last == std::string::npos || last == 0 ? std::string::npos : name.rfind('-', last - 1);
  return before == std::string::npos ? 0 : static_cast<pid_t>(std::atol(name.substr(before + 1, last - before - 1).c_str()));
}

/// Removes a folder that nobody has locked. Locked meanwhile, so that a writer that has only just made it makes another.
void remove_folder_if_left(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) return;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) remove_leftover(path);
  close(descriptor);
}

bool process_is_gone(pid_t process) {
  return process > 0 && (process == getpid() || (kill(process, 0) != 0 && errno == ESRCH));
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::string& parent, const std::string& name, unsigned mode) {
  make_folders(parent);
  constexpr int kTries = 10;  // remove_leftovers of another process may come between mkdir and flock
  for (int i = 0; i < kTries; ++i) {
    path_ = temporary_path(parent, name);
    if (mkdir(path_.c_str(), mode) != 0) throw_failed(path_, "cannot be made", errno);
    descriptor_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ >= 0 && flock(descriptor_, LOCK_EX | LOCK_NB) == 0 && access(path_.c_str(), F_OK) == 0) return;
    const int error = errno;
    if (descriptor_ >= 0) close(descriptor_);
    remove_quietly(path_);
    if (i + 1 == kTries || (error != ENOENT && error != EWOULDBLOCK)) throw_failed(path_, "cannot be locked", error);
  }
}

TemporaryFolder::~TemporaryFolder() {
  remove_quietly(path_);
  close(descriptor_);
}

AtomicFolder::AtomicFolder(std::string parent, std::string name)
    : parent_(std::move(parent)), name_(std::move(name)), temporary_(parent_, name_, 0700) {}

std::string AtomicFolder::path_of(const std::string& file) const {
  if (!is_plain_file_name(file)) throw FileError(file, "", "not a plain file name");
  return temporary_.path() + "/" + file;
}

void AtomicFolder::add(const std::string& file, uint64_t bytes, const std::string& sha256) {
  files_.push_back({file, bytes, sha256});
}

void AtomicFolder::add_text(const std::string& file, std::string_view text) {
  OutputFile out(path_of(file));
  out.write(text);
  add(file, text.size(), out.finish());
}

void AtomicFolder::commit(Manifest manifest) {
  manifest.files = files_;
  OutputFile out(path_of("manifest.json"));
  out.write(manifest_text(manifest));
  out.finish();
  sync_folder(temporary_.path());
  const std::string target = parent_ + "/" + name_;
  // Exchange first: where nothing of that name exists, it says so, and an existing checkpoint is there whole at every moment.
  if (renameat2(AT_FDCWD, temporary_.path().c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno == EINVAL && access(target.c_str(), F_OK) == 0)
      throw FileError(target, "", "exists, and this file system cannot exchange folders", "choose another folder", ExitCode::io);
    if (rename(temporary_.path().c_str(), target.c_str()) != 0) throw_failed(target, "cannot be put into place", errno);
  }
  sync_folder(parent_);
}

void replace_link(const std::string& parent, const std::string& link, const std::string& target) {
  const std::string path = parent + "/" + link, temporary = temporary_path(parent, link);
  if (symlink(target.c_str(), temporary.c_str()) != 0) throw_failed(path, "cannot be linked", errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    throw_failed(path, "cannot be replaced", error);
  }
  sync_folder(parent);
}

void remove_leftovers(const std::string& parent, const std::string& name) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const std::string path = entry.path().string(), file = entry.path().filename().string();
    if (!(name.empty() ? file.rfind(".tmp-", 0) == 0 : is_temporary_of(name, file))) continue;
    if (entry.symlink_status(error).type() == std::filesystem::file_type::directory)
      remove_folder_if_left(path);
    else if (process_is_gone(writer_of(file)))
      remove_leftover(path);
  }
}

FolderLock::FolderLock(const std::string& folder) {
  const std::string path = folder + "/.lock";
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) throw_failed(path, "cannot be opened", errno);
  char process[32] = {};
  const bool locked = flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  const int error = errno;
  const ssize_t got = pread(descriptor_, process, sizeof process - 1, 0);
  const long holder = got > 0 ? std::atol(process) : 0;
  if (!locked) {
    close(descriptor_);
    if (error == EWOULDBLOCK) throw FileError(folder, "", str("in use by process ", holder), "", ExitCode::io);
    throw_failed(path, "cannot be locked", error);
  }
  if (holder != 0) log_info(str("note: process ", holder, " left ", escaped(folder), " without a clean end"));
  const std::string own = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor_, 0) != 0 || pwrite(descriptor_, own.data(), own.size(), 0) != static_cast<ssize_t>(own.size())) {
    const int failure = errno;
    close(descriptor_);
    throw_failed(path, "write error", failure);
  }
}

FolderLock::~FolderLock() {
  if (ftruncate(descriptor_, 0) != 0) log_detail("the lock file could not be emptied");
  close(descriptor_);
}

}  // namespace aot
