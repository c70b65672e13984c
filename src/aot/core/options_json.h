// SPDX-License-Identifier: Apache-2.0
// Settings as a flat JSON object, as checkpoints keep them.
#pragma once

#include <string>
#include <vector>

#include "aot/core/options.h"
#include "aot/io/json.h"

namespace aot {

Json settings_json(const std::vector<TomlEntry>& settings);

/// The members of `object` as settings. Throws FileError naming the key when one is no number, text, true or false.
std::vector<TomlEntry> json_settings(const Json& object, const std::string& path);

}  // namespace aot
