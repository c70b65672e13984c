// SPDX-License-Identifier: Apache-2.0
#include "aot/core/options_json.h"

#include "aot/io/error.h"

namespace aot {

Json settings_json(const std::vector<TomlEntry>& settings) {
  Json out = Json::object();
  for (const TomlEntry& entry : settings) std::visit([&](const auto& value) { out[entry.key] = value; }, entry.value);
  return out;
}

std::vector<TomlEntry> json_settings(const Json& object, const std::string& path) {
  if (!object.is_object()) throw FileError(path, "", "settings must be an object");
  std::vector<TomlEntry> out;
  for (const auto& [key, value] : object.items()) {
    if (value.is_boolean())
      out.push_back({key, value.get<bool>(), 0});
    else if (value.is_number_integer())
      out.push_back({key, json_integer(object, key, path, INT64_MIN, INT64_MAX), 0});
    else if (value.is_number())
      out.push_back({key, value.get<double>(), 0});
    else if (value.is_string())
      out.push_back({key, value.get<std::string>(), 0});
    else
      throw FileError(path, "key '" + key + "'", "need a number, a text, true or false");
  }
  return out;
}

}  // namespace aot
