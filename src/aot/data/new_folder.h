// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "aot/core/atomic.h"

namespace aot {

/// Throws UsageError naming --out unless `path` is free or an empty folder: prepared data is never overwritten.
void check_is_new_folder(const std::string& path);

/// A folder in the making beside the one wanted, removed unless it was put into place. Clears what killed processes left of the same.
class NewFolder {
 public:
  explicit NewFolder(const std::string& wanted);
  [[nodiscard]] std::string path(const std::string& name) const { return temporary_.path() + "/" + name; }
  void write_text(const std::string& name, std::string_view text) const;
  /// Throws FileError (exit 4).
  void put_into_place();

 private:
  std::string wanted_;
  TemporaryFolder temporary_;
};

}  // namespace aot
