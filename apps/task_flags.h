// SPDX-License-Identifier: Apache-2.0
// Flags of a command whose settings depend on the task: one set of flags on the parser, of which the chosen task takes its own.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "aot/core/options.h"

namespace aot {

class TaskFlags {
 public:
  /// Adds the flags of all tasks, each with its name and its description. A flag that several have is one, with the help of the first and
  /// the choices of all; one that a single task has says so. Must not move afterwards.
  void add(CLI::App& app, const std::vector<std::pair<std::string, Fields*>>& tasks);

  /// The text that a flag, or else the environment, gives for `name`; empty: neither.
  [[nodiscard]] std::string text(std::string_view name) const;
  /// Throws UsageError for any flag that was given: where none has a meaning.
  void refuse(const std::string& why, const std::string& hint) const;
  /// Sets what the flags gave. Throws UsageError for one that `task` does not have.
  void set(Fields& fields, const std::string& task) const;

 private:
  std::vector<std::pair<std::string, std::string>> given_;  // name, text
};

}  // namespace aot
