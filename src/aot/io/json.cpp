// SPDX-License-Identifier: Apache-2.0
#include "aot/io/json.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json_reader.h"

namespace aot {
namespace {

class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const std::string& path, const JsonLimits& limits)
      : reader_(text, path, limits.depth), values_left_(limits.values), limits_(limits) {}

  Json document() {
    Json json = value();
    reader_.finish();
    return json;
  }

 private:
  Json value() {
    if (values_left_-- == 0) reader_.fail(str("more than ", limits_.values, " values"));
    switch (reader_.kind()) {
      case JsonReader::Kind::object:
        return object();
      case JsonReader::Kind::array:
        return array();
      case JsonReader::Kind::text:
        return reader_.text();
      case JsonReader::Kind::number:
        return number();
      case JsonReader::Kind::boolean:
        return reader_.boolean();
      case JsonReader::Kind::null:
        break;
    }
    reader_.null();
    return nullptr;
  }

  Json object() {
    const uint64_t start = reader_.offset();
    Json json = Json::object();
    // emplace_back of the vector underneath: ordered_map's own insertion searches all earlier keys each time.
    std::vector<Json::object_t::value_type>& members = json.get_ref<Json::object_t&>();
    reader_.enter_object();
    for (std::string key; reader_.next_member(key);) members.emplace_back(key, value());
    std::vector<std::string_view> keys;
    for (const auto& member : members) keys.emplace_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) reader_.fail(str("duplicate key '", escaped(*twice, 80), "' in the object that starts at byte ", start));
    return json;
  }

  Json array() {
    Json json = Json::array();
    reader_.enter_array();
    while (reader_.next_item()) json.push_back(value());
    return json;
  }

  Json number() {
    const std::string_view text = reader_.number();
    if (int64_t integer = 0; integer_of(text, integer)) return integer;
    if (uint64_t large = 0; integer_of(text, large)) return large;
    double real = 0;
    if (!double_of(text, real)) reader_.fail(str("number out of range: ", escaped(text, 40)));
    return real;
  }

  JsonReader reader_;
  size_t values_left_;
  const JsonLimits& limits_;
};

bool holds_non_finite(const Json& json) {
  if (json.is_number_float()) return !std::isfinite(json.get<double>());
  return json.is_structured() && std::any_of(json.begin(), json.end(), holds_non_finite);
}

void spell_non_finite(Json& json) {
  if (json.is_number_float()) {
    const double number = json.get<double>();
    if (!std::isfinite(number)) json = std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
  } else if (json.is_structured()) {
    for (Json& inner : json) spell_non_finite(inner);
  }
}

std::string found(const Json& json) {
  return str("(found ", escaped(dump_json(json), 40), ")");
}

}  // namespace

Json parse_json(std::string_view text, const std::string& path, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    throw FileError(path, "", str("larger than ", limit_text(limits.bytes), " (found ", text.size(), " bytes)"));
  return TreeBuilder(text, path, limits).document();
}

std::string dump_json(const Json& json, int indent) {
  if (holds_non_finite(json)) {
    Json copy = json;
    spell_non_finite(copy);
    return dump_json(copy, indent);
  }
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

const Json& json_member(const Json& object, const std::string& key, const std::string& path) {
  if (!object.is_object()) throw FileError(path, "", str("need a JSON object ", found(object)));
  const auto member = object.find(key);
  if (member == object.end()) throw FileError(path, "", str("missing key '", key, "'"));
  return *member;
}

int64_t json_format(const Json& object, int64_t newest, const std::string& path) {
  const int64_t format = json_integer(object, "format", path, 1, INT64_MAX);
  if (format > newest) throw FileError(path, "key 'format'", str("newer than this program (found ", format, ", need ", newest, ")"));
  return format;
}

int64_t json_integer(const Json& object, const std::string& key, const std::string& path, int64_t smallest, int64_t largest) {
  const Json& member = json_member(object, key, path);
  if (!member.is_number_integer()) throw FileError(path, str("key '", key, "'"), str("need an integer ", found(member)));
  const bool too_large = member.is_number_unsigned() && member.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t value = too_large ? INT64_MAX : member.get<int64_t>();
  if (value < smallest) throw FileError(path, str("key '", key, "'"), str("need at least ", smallest, " ", found(member)));
  if (too_large || value > largest) throw FileError(path, str("key '", key, "'"), str("need at most ", largest, " ", found(member)));
  return value;
}

double json_number(const Json& object, const std::string& key, const std::string& path) {
  const Json& member = json_member(object, key, path);
  if (!member.is_number()) throw FileError(path, str("key '", key, "'"), str("need a number ", found(member)));
  return member.get<double>();
}

std::string json_text(const Json& object, const std::string& key, const std::string& path) {
  const Json& member = json_member(object, key, path);
  if (!member.is_string()) throw FileError(path, str("key '", key, "'"), str("need a text ", found(member)));
  return member.get<std::string>();
}

bool json_bool(const Json& object, const std::string& key, const std::string& path) {
  const Json& member = json_member(object, key, path);
  if (!member.is_boolean()) throw FileError(path, str("key '", key, "'"), str("need true or false ", found(member)));
  return member.get<bool>();
}

std::string json_digest(const Json& object, const std::string& key, const std::string& path) {
  std::string digest = json_text(object, key, path);
  if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw FileError(path, "key '" + key + "'", "need 64 hexadecimal digits");
  return digest;
}

}  // namespace aot
