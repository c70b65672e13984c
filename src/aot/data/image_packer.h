// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aot/data/image_meta.h"
#include "aot/data/image_source.h"
#include "aot/data/new_folder.h"
#include "aot/io/output.h"

namespace aot {

struct PackedImages {
  ImageSplitMeta split;
  int64_t height = 0, width = 0;  // 0: files
  int64_t channels = 0;
  int64_t largest_label = 0;
  std::vector<double> mean, std;  // per channel, values in [0, 1]; a channel that never changes has std 1
};

/// Writes NAME.images, NAME.labels, NAME.masks where the first image has a mask, and NAME.sizes where images are files.
class ImagePacker {
 public:
  ImagePacker(const NewFolder& folder, const std::string& name);
  /// Every image must be like the first: of its shape or as a file, and with a mask if that has one. Throws Error otherwise.
  void add(const LabelledImage& labelled);
  [[nodiscard]] int64_t images() const { return packed_.split.images; }
  PackedImages finish();

 private:
  void start(const LabelledImage& first);
  void add_pixels(const LabelledImage& labelled);
  void add_file(const LabelledImage& labelled);

  std::string masks_path_, sizes_path_;
  OutputFile pixels_, labels_;
  std::optional<OutputFile> masks_, sizes_;
  PackedImages packed_;
  std::vector<uint64_t> counts_;  // (channels, 256): how often a value occurs
};

}  // namespace aot
