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
  std::string sizes_sha256;   // of SPLIT.sizes; empty: images are pixels of one size, not files
};

/// One image of SPLIT.sizes, where images are kept as files.
struct PackedSize {
  uint32_t bytes = 0;
  uint16_t height = 0, width = 0;
};

struct ImageMeta {
  int64_t height = 0, width = 0;  // 0: images are kept as JPEG and PNG files of their own sizes
  int64_t channels = 0;
  std::vector<std::string> classes;  // names; a label is a place in this list
  std::vector<double> mean, std;     // per channel over the training images, values in [0, 1]
  ImageSplitMeta train;
  std::optional<ImageSplitMeta> val;
  std::string source;                // where the images came from
  int64_t skipped = 0;               // bad images that were left out
  std::vector<std::string> reasons;  // of the first of them: see kMaxReasons
};

/// Reasons in meta.json, which stays small however many bad images there were.
constexpr size_t kMaxReasons = 1000;

/// Labels are kept as 16 bits.
constexpr int64_t kMaxClasses = 65'536;

/// Of the file.
constexpr uint64_t kMaxImageMetaBytes = 16u << 20;

/// Throws FileError naming the key.
ImageMeta parse_image_meta(std::string_view text, const std::string& path);
ImageMeta read_image_meta(const std::string& path);
std::string image_meta_text(const ImageMeta& meta);

}  // namespace aot
