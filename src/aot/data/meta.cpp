// SPDX-License-Identifier: Apache-2.0
#include "aot/data/meta.h"

#include <limits>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"

namespace aot {
namespace {

constexpr int64_t kFormat = 1;
constexpr uint64_t kMaxBytes = 16u << 20;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

SplitMeta split_of(const Json& object, const std::string& path) {
  return {json_integer(object, "tokens", path, 1, kMost), json_integer(object, "text_bytes", path, 0, kMost),
          json_digest(object, "sha256", path)};
}

Json split_json(const SplitMeta& split) {
  return {{"tokens", split.tokens}, {"text_bytes", split.text_bytes}, {"sha256", split.sha256}};
}

}  // namespace

std::string dtype_text(int bytes_per_token) {
  return bytes_per_token == 2 ? "uint16" : "uint32";
}

DatasetMeta parse_dataset_meta(std::string_view text, const std::string& path) {
  const Json json = parse_json(text, path);
  json_format(json, kFormat, path);
  if (json.contains("kind") && json["kind"] == "images")
    throw FileError(path, "key 'kind'", "these are prepared images, need prepared text",
                    "images are for train --task vision and eval top1");
  DatasetMeta meta;
  meta.tokenizer = json_text(json, "tokenizer", path);
  meta.tokenizer_sha256 = json_digest(json, "tokenizer_sha256", path);
  meta.vocab_size = json_integer(json, "vocab_size", path, 1, std::numeric_limits<int32_t>::max());
  const std::string dtype = json_text(json, "dtype", path);
  if (dtype != "uint16" && dtype != "uint32")
    throw FileError(path, "key 'dtype'", str("found '", escaped(dtype, 40), "', need uint16 or uint32"));
  meta.bytes_per_token = dtype == "uint16" ? 2 : 4;
  meta.train = split_of(json_member(json, "train", path), path);
  if (!json_member(json, "val", path).is_null()) meta.val = split_of(json["val"], path);
  meta.source_files = json_integer(json, "source_files", path, 1, kMost);
  const Json& sources = json_member(json, "sources", path);
  if (!sources.is_array()) throw FileError(path, "key 'sources'", "need an array");
  for (const Json& source : sources)
    meta.sources.push_back({json_text(source, "name", path), json_integer(source, "bytes", path, 0, kMost)});
  return meta;
}

DatasetMeta read_dataset_meta(const std::string& path) {
  return parse_dataset_meta(read_file(path, kMaxBytes), path);
}

std::string dataset_meta_text(const DatasetMeta& meta) {
  Json sources = Json::array();
  for (const SourceMeta& source : meta.sources) sources.push_back({{"name", source.name}, {"bytes", source.bytes}});
  const Json json = {{"format", kFormat},
                     {"tokenizer", meta.tokenizer},
                     {"tokenizer_sha256", meta.tokenizer_sha256},
                     {"vocab_size", meta.vocab_size},
                     {"dtype", dtype_text(meta.bytes_per_token)},
                     {"train", split_json(meta.train)},
                     {"val", meta.val ? split_json(*meta.val) : Json()},
                     {"source_files", meta.source_files},
                     {"sources", sources}};
  return dump_json(json, 1) + "\n";
}

}  // namespace aot
