// SPDX-License-Identifier: Apache-2.0
// Settings of a checkpoint's model as those that a run starts with: what the set_model of every task does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aot/core/options.h"

namespace aot {

/// Sets `fields` to what `options`, read from `checkpoint`, says, but for the key `left_out`.
template <class Options>
void set_model_fields(Fields& fields, Options options, const std::string& checkpoint, std::string_view left_out = "") {
  Fields saved;
  describe(saved, options);
  std::vector<TomlEntry> entries = saved.entries();
  std::erase_if(entries, [left_out](const TomlEntry& entry) { return entry.key == left_out; });
  fields.set_from(entries, Origin::preset, checkpoint + "/config.json");
}

}  // namespace aot
