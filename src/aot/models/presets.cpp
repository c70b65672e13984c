// SPDX-License-Identifier: Apache-2.0
#include "aot/models/presets.h"

#include "aot/io/error.h"

namespace aot {
namespace {

std::string task_in(const std::vector<TomlEntry>& entries) {
  return value_of<std::string>(entries, "task").value_or("language");
}

}  // namespace

std::vector<TomlEntry> preset_entries(std::string_view name) {
  std::vector<std::string> known;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return parse_toml(preset.toml, "preset " + preset.name);
    known.push_back(preset.name);
  }
  const std::string near = nearest_name(name, known);
  std::string all;
  for (const std::string& one : known) all += (all.empty() ? "" : ", ") + one;
  throw UsageError(str("unknown preset '", name, "'", near.empty() ? "" : ", did you mean '" + near + "'?"),
                   near.empty() ? "known: " + all : "");
}

std::string preset_task(std::string_view name) {
  return task_in(preset_entries(name));
}

void apply_preset(Fields& fields, std::string_view name, std::string_view task) {
  const std::vector<TomlEntry> entries = preset_entries(name);
  if (const std::string own = task_in(entries); own != task)
    throw UsageError(str("preset ", name, " is of task ", own, ", not of ", task),
                     "`aot inspect --preset list` names those of language models");
  for (const TomlEntry& entry : entries)
    if (Field* field = fields.find(entry.key)) field->set(entry.value, Origin::preset, str("preset ", name, ": ", entry.key));
}

}  // namespace aot
