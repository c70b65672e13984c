// SPDX-License-Identifier: Apache-2.0
// Named settings, compiled in from configs/*.toml: flat keys of the model and of training (docs/models.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aot/core/options.h"

namespace aot {

struct Preset {
  std::string name;
  std::string summary;  // the first comment line of its file
  std::string toml;
};

/// In alphabetical order.
const std::vector<Preset>& presets();

/// The entries of one preset. Throws UsageError, naming the nearest known one.
std::vector<TomlEntry> preset_entries(std::string_view name);

/// The task that a preset is for: its key `task`, or language.
std::string preset_task(std::string_view name);

/// Sets the fields that a preset names and `fields` has; a preset may hold training settings that a command without training leaves out.
/// Throws UsageError when it is a preset of another task.
void apply_preset(Fields& fields, std::string_view name, std::string_view task = "language");

}  // namespace aot
