// SPDX-License-Identifier: Apache-2.0
// Small folders of drawn pictures.
#pragma once

#include <cstdint>
#include <string>

#include "aot/data/image_dataset.h"
#include "aot/data/image_make.h"
#include "aot/data/image_prepare.h"
#include "tests/support/files.h"

namespace aot {

/// Drawn shapes or digits in a folder that goes away with the object.
class DrawnPictures {
 public:
  explicit DrawnPictures(const ImageSources& sources, int64_t val_count) {
    pack_images(sources, "drawn", {.out = path(), .val_count = val_count});
    data = open_image_dataset(path());
  }
  [[nodiscard]] std::string path() const { return folder_.path("pictures"); }

 private:
  TestFolder folder_;

 public:
  ImageDataset data;  // after the folder: closed before that goes
};

}  // namespace aot
