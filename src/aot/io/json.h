// SPDX-License-Identifier: Apache-2.0
// JSON documents of known, modest size. Large ones (tokenizers, headers) are streamed by io/json_reader.h, which also parses here: it
// checks size, depth, duplicate keys and the range of numbers, none of which nlohmann-json does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace aot {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t bytes = 16u << 20;
  int depth = 64;
  size_t values = 200'000;  // a parsed value costs about 50 bytes, whatever its text does
};

/// Parses strictly. Throws FileError with the byte offset: `not valid JSON`, `not valid UTF-8`, `nested deeper than`, `duplicate key`,
/// `larger than`.
Json parse_json(std::string_view text, const std::string& path, const JsonLimits& limits = {});

/// One line without spaces for machines (`indent` -1) or indented; invalid UTF-8 is replaced, NaN and Inf become "nan", "inf", "-inf".
std::string dump_json(const Json& json, int indent = -1);

/// Typed members of an object: throw FileError naming `key 'KEY'`, what was found and what is needed.
const Json& json_member(const Json& object, const std::string& key, const std::string& path);
/// Key `format`, a number from 1; throws FileError `newer than this program` above `newest`.
int64_t json_format(const Json& object, int64_t newest, const std::string& path);
int64_t json_integer(const Json& object, const std::string& key, const std::string& path, int64_t smallest, int64_t largest);
double json_number(const Json& object, const std::string& key, const std::string& path);
std::string json_text(const Json& object, const std::string& key, const std::string& path);
bool json_bool(const Json& object, const std::string& key, const std::string& path);
/// A SHA-256 as 64 hexadecimal digits.
std::string json_digest(const Json& object, const std::string& key, const std::string& path);

}  // namespace aot
