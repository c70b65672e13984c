// SPDX-License-Identifier: Apache-2.0
#include "aot/data/new_folder.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/output.h"

namespace aot {

namespace fs = std::filesystem;

void check_is_new_folder(const std::string& path) {
  std::error_code ignored;
  const bool is_there = fs::exists(fs::symlink_status(path, ignored));
  if (is_there && !(fs::is_directory(path, ignored) && fs::is_empty(path, ignored)))
    throw UsageError(str("--out: ", escaped(path), " is there and not an empty folder: never overwritten"));
}

NewFolder::NewFolder(const std::string& wanted)
    : wanted_(without_slash_at_end(wanted)), temporary_(folder_of(wanted_), fs::path(wanted_).filename().string(), 0777) {
  remove_leftovers(folder_of(wanted_), fs::path(wanted_).filename().string());
}

void NewFolder::write_text(const std::string& name, std::string_view text) const {
  OutputFile file(path(name));
  file.write(text);
  file.finish();
}

void NewFolder::put_into_place() {
  sync_folder(temporary_.path());
  if (std::rename(temporary_.path().c_str(), wanted_.c_str()) != 0)  // replaces an empty folder too
    throw FileError(wanted_, "", str("cannot be put into place: ", std::strerror(errno)), "", ExitCode::io);
  sync_folder(folder_of(wanted_));
}

}  // namespace aot
