// SPDX-License-Identifier: Apache-2.0
// Labelled images as they come from outside, in order: what `prepare_images` packs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aot/io/image.h"

namespace aot {

struct LabelledImage {
  Image image;
  int64_t label = 0;
  std::vector<uint8_t> mask;  // (height, width): 1 where the object is, 0 elsewhere; empty when it is not known
};

/// Images of one size, one behind the other.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  [[nodiscard]] virtual int64_t size() const = 0;
  /// REQUIRES: called at most size() times. Throws FileError.
  virtual void next(LabelledImage& into) = 0;
};

/// What one set of files holds.
struct ImageSources {
  std::unique_ptr<ImageSource> train;
  std::unique_ptr<ImageSource> val;  // null: the files know no validation part
  std::vector<std::string> classes;  // empty: told by the labels, "0" up to the largest one
};

/// IDX: `images` with three dimensions (or four, the last being 3 channels) and `labels` with one.
/// Throws FileError: `labels need 1 dimension`, `60000 images, 10000 labels`, and as IdxFile does.
ImageSources open_idx_images(const std::string& images, const std::string& labels);

}  // namespace aot
