// SPDX-License-Identifier: Apache-2.0
// meta.json of a folder of prepared images (docs/images.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aot {

struct ImageSplitMeta {
  int64_t images = 0;
  std::string pixels_sha256;  // of SPLIT.images
  std::string labels_sha256;  // of SPLIT.labels
  std::string masks_sha256;   // of SPLIT.masks; empty: there are none
};

struct ImageMeta {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<std::string> classes;  // names; a label is a place in this list
  std::vector<double> mean, std;     // per channel over the training images, values in [0, 1]
  ImageSplitMeta train;
  std::optional<ImageSplitMeta> val;
  std::string source;  // what the images were: idx, ...
};

/// Labels are kept as 16 bits.
constexpr int64_t kMaxClasses = 65'536;

/// Throws FileError naming the key.
ImageMeta parse_image_meta(std::string_view text, const std::string& path);
ImageMeta read_image_meta(const std::string& path);
std::string image_meta_text(const ImageMeta& meta);

}  // namespace aot
