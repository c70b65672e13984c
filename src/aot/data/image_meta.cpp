// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_meta.h"

#include <limits>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/image.h"
#include "aot/io/json.h"

namespace aot {
namespace {

constexpr int64_t kFormat = 1;
constexpr uint64_t kMaxBytes = 16u << 20;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

ImageSplitMeta split_of(const Json& object, const std::string& path) {
  ImageSplitMeta split = {json_integer(object, "images", path, 1, kMost), json_digest(object, "pixels_sha256", path),
                          json_digest(object, "labels_sha256", path)};
  if (!json_member(object, "masks_sha256", path).is_null()) split.masks_sha256 = json_digest(object, "masks_sha256", path);
  return split;
}

Json split_json(const ImageSplitMeta& split) {
  return {{"images", split.images},
          {"pixels_sha256", split.pixels_sha256},
          {"labels_sha256", split.labels_sha256},
          {"masks_sha256", split.masks_sha256.empty() ? Json() : Json(split.masks_sha256)}};
}

const Json& array_of(const Json& object, const std::string& key, const std::string& path) {
  const Json& array = json_member(object, key, path);
  if (!array.is_array()) throw FileError(path, "key '" + key + "'", "need an array");
  return array;
}

std::vector<double> numbers_of(const Json& object, const std::string& key, const std::string& path, int64_t count, bool above_zero) {
  std::vector<double> numbers;
  for (const Json& item : array_of(object, key, path)) {
    if (!item.is_number() || item < 0.0 || item > 1.0 || (above_zero && item == 0.0))
      throw FileError(path, "key '" + key + "'", "need numbers from 0 to 1");
    numbers.push_back(item.get<double>());
  }
  if (static_cast<int64_t>(numbers.size()) != count)
    throw FileError(path, "key '" + key + "'", str("need one number per channel (found ", numbers.size(), ", need ", count, ")"));
  return numbers;
}

}  // namespace

ImageMeta parse_image_meta(std::string_view text, const std::string& path) {
  const Json json = parse_json(text, path);
  const int64_t format = json_integer(json, "format", path, 1, kMost);
  if (format > kFormat) throw FileError(path, "key 'format'", str("newer than this program (found ", format, ", need ", kFormat, ")"));
  if (!json.contains("kind") || json["kind"] != "images")
    throw FileError(path, "key 'kind'", "need 'images': these are no prepared images");
  ImageMeta meta;
  meta.height = json_integer(json, "height", path, 1, kMaxImageSide);
  meta.width = json_integer(json, "width", path, 1, kMaxImageSide);
  if (meta.height * meta.width > kMaxImagePixels) throw FileError(path, "key 'width'", str("more than ", kMaxImagePixels, " pixels"));
  meta.channels = json_integer(json, "channels", path, 1, 3);
  if (meta.channels == 2) throw FileError(path, "key 'channels'", "need 1 or 3 (found 2)");
  for (const Json& name : array_of(json, "classes", path)) {
    if (!name.is_string()) throw FileError(path, "key 'classes'", "need texts");
    meta.classes.push_back(name.get<std::string>());
  }
  if (meta.classes.empty() || static_cast<int64_t>(meta.classes.size()) > kMaxClasses)
    throw FileError(path, "key 'classes'", str("need 1 to ", kMaxClasses, " classes (found ", meta.classes.size(), ")"));
  meta.mean = numbers_of(json, "mean", path, meta.channels, false);
  meta.std = numbers_of(json, "std", path, meta.channels, true);
  meta.train = split_of(json_member(json, "train", path), path);
  if (!json_member(json, "val", path).is_null()) meta.val = split_of(json["val"], path);
  meta.source = json_text(json, "source", path);
  return meta;
}

ImageMeta read_image_meta(const std::string& path) {
  return parse_image_meta(read_file(path, kMaxBytes), path);
}

std::string image_meta_text(const ImageMeta& meta) {
  const Json json = {{"format", kFormat},
                     {"kind", "images"},
                     {"height", meta.height},
                     {"width", meta.width},
                     {"channels", meta.channels},
                     {"classes", meta.classes},
                     {"mean", meta.mean},
                     {"std", meta.std},
                     {"train", split_json(meta.train)},
                     {"val", meta.val ? split_json(*meta.val) : Json()},
                     {"source", meta.source}};
  return dump_json(json, 1) + "\n";
}

}  // namespace aot
