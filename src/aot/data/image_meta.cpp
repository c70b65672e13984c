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
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

ImageSplitMeta split_of(const Json& object, const std::string& path) {
  ImageSplitMeta split = {json_integer(object, "images", path, 1, kMost), json_digest(object, "pixels_sha256", path),
                          json_digest(object, "labels_sha256", path)};
  if (!json_member(object, "masks_sha256", path).is_null()) split.masks_sha256 = json_digest(object, "masks_sha256", path);
  if (!json_member(object, "sizes_sha256", path).is_null()) split.sizes_sha256 = json_digest(object, "sizes_sha256", path);
  return split;
}

Json split_json(const ImageSplitMeta& split) {
  return {{"images", split.images},
          {"pixels_sha256", split.pixels_sha256},
          {"labels_sha256", split.labels_sha256},
          {"masks_sha256", split.masks_sha256.empty() ? Json() : Json(split.masks_sha256)},
          {"sizes_sha256", split.sizes_sha256.empty() ? Json() : Json(split.sizes_sha256)}};
}

const Json& array_of(const Json& object, const std::string& key, const std::string& path) {
  const Json& array = json_member(object, key, path);
  if (!array.is_array()) throw FileError(path, "key '" + key + "'", "need an array");
  return array;
}

std::vector<std::string> texts_of(const Json& object, const std::string& key, const std::string& path) {
  std::vector<std::string> texts;
  for (const Json& text : array_of(object, key, path)) {
    if (!text.is_string()) throw FileError(path, "key '" + key + "'", "need texts");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

/// Sizes of the images, and whether each split keeps its images as those say.
void read_sizes(const Json& json, const std::string& path, ImageMeta& meta) {
  const bool are_files = json_member(json, "height", path).is_null() && json_member(json, "width", path).is_null();
  if (!are_files) {
    meta.height = json_integer(json, "height", path, 1, kMaxImageSide);
    meta.width = json_integer(json, "width", path, 1, kMaxImageSide);
    if (meta.height * meta.width > kMaxImagePixels) throw FileError(path, "key 'width'", str("more than ", kMaxImagePixels, " pixels"));
  }
  for (const ImageSplitMeta* split : {&meta.train, meta.val ? &*meta.val : nullptr}) {
    if (split == nullptr) continue;
    if (split->sizes_sha256.empty() == are_files)
      throw FileError(path, "key 'sizes_sha256'", "need it where images have no common size, only there");
    if (are_files && !split->masks_sha256.empty())
      throw FileError(path, "key 'masks_sha256'", "images without a common size have no masks");
  }
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
  json_format(json, kFormat, path);
  if (!json.contains("kind") || json["kind"] != "images")
    throw FileError(path, "key 'kind'", "need 'images': these are no prepared images");
  ImageMeta meta;
  meta.channels = json_integer(json, "channels", path, 1, 3);
  if (meta.channels == 2) throw FileError(path, "key 'channels'", "need 1 or 3 (found 2)");
  meta.classes = texts_of(json, "classes", path);
  if (meta.classes.empty() || static_cast<int64_t>(meta.classes.size()) > kMaxClasses)
    throw FileError(path, "key 'classes'", str("need 1 to ", kMaxClasses, " classes (found ", meta.classes.size(), ")"));
  meta.mean = numbers_of(json, "mean", path, meta.channels, false);
  meta.std = numbers_of(json, "std", path, meta.channels, true);
  meta.train = split_of(json_member(json, "train", path), path);
  if (!json_member(json, "val", path).is_null()) meta.val = split_of(json["val"], path);
  read_sizes(json, path, meta);
  meta.source = json_text(json, "source", path);
  meta.skipped = json_integer(json, "skipped", path, 0, kMost);
  meta.reasons = texts_of(json, "skipped_for", path);
  return meta;
}

ImageMeta read_image_meta(const std::string& path) {
  return parse_image_meta(read_file(path, kMaxImageMetaBytes), path);
}

std::string image_meta_text(const ImageMeta& meta) {
  const Json json = {{"format", kFormat},
                     {"kind", "images"},
                     {"height", meta.height > 0 ? Json(meta.height) : Json()},
                     {"width", meta.width > 0 ? Json(meta.width) : Json()},
                     {"channels", meta.channels},
                     {"classes", meta.classes},
                     {"mean", meta.mean},
                     {"std", meta.std},
                     {"train", split_json(meta.train)},
                     {"val", meta.val ? split_json(*meta.val) : Json()},
                     {"source", meta.source},
                     {"skipped", meta.skipped},
                     {"skipped_for", meta.reasons}};
  return dump_json(json, 1) + "\n";
}

}  // namespace aot
