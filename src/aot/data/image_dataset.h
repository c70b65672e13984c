// SPDX-License-Identifier: Apache-2.0
// Prepared images: a folder with train.images, train.labels, val.images, val.labels, meta.json (docs/images.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aot/data/image_meta.h"
#include "aot/io/file.h"
#include "aot/io/image_file.h"

namespace aot {

class LargeImages;

/// The images and labels of one split; labels are kept in memory, images are read by positioned reads. Safe to read from several threads.
class ImageSplit {
 public:
  /// Throws FileError: `meta.json says 1000 images, file has 900`, `record 5: label 10`.
  ImageSplit(const std::string& folder, const std::string& name, const ImageMeta& meta, const ImageSplitMeta& split);
  ~ImageSplit();

  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  /// Of every image; 0 where images are files of their own sizes.
  [[nodiscard]] int64_t height() const { return height_; }
  [[nodiscard]] int64_t width() const { return width_; }
  [[nodiscard]] ImageSize size_of(int64_t index) const;
  [[nodiscard]] int64_t channels() const { return channels_; }
  [[nodiscard]] const std::string& path() const { return pixels_.path(); }
  [[nodiscard]] int64_t label(int64_t index) const { return labels_[static_cast<size_t>(index)]; }
  /// Image `index` as (height, width, channels), a JPEG file at 1 / `shrink` of its size (see decode_image). Threads wait for each other
  /// where their images together need much memory (large_images.h). REQUIRES: 0 <= index < size().
  void read(int64_t index, Image& into, int64_t shrink = 1) const;
  /// Whether it is known which pixels of an image are its object.
  [[nodiscard]] bool has_masks() const { return masks_.has_value(); }
  /// The mask of image `index`, (height, width): 1 where the object is, 0 elsewhere. REQUIRES: has_masks().
  void read_mask(int64_t index, std::vector<uint8_t>& into) const;
  /// Reads the whole split once and throws FileError `digest mismatch` when it is not what was prepared.
  void check_all() const;

 private:
  void check_index(int64_t index) const;
  void read_sizes(const std::string& path, const ImageSplitMeta& split);

  InputFile pixels_, labels_file_;
  std::optional<InputFile> masks_, sizes_file_;
  int64_t height_, width_, channels_;
  std::string pixels_sha256_, labels_sha256_, masks_sha256_, sizes_sha256_;
  std::vector<uint16_t> labels_;
  std::vector<PackedSize> sizes_;  // of files; empty where all images have one size
  std::vector<uint64_t> offsets_;  // of files
  std::unique_ptr<LargeImages> large_;
};

/// The splits of a prepared folder.
struct ImageDataset {
  std::string path;
  std::vector<std::string> classes;  // names; a label is a place in this list
  int64_t height = 0, width = 0;     // 0: images are files of their own sizes
  int64_t channels = 0;
  std::vector<double> mean, std;           // per channel over the training images, values in [0, 1]
  std::unique_ptr<ImageSplit> train, val;  // val is null when the folder has none
  std::string train_sha256, val_sha256;    // of the pixels, from meta.json
};

/// Whether `path` is a folder of prepared images, by what its meta.json says of itself; a damaged one throws FileError.
bool holds_images(const std::string& path);

/// Opens a folder made by `aot data prepare --images`. Throws FileError.
ImageDataset open_image_dataset(const std::string& path);

}  // namespace aot
