// SPDX-License-Identifier: Apache-2.0
// Labelled images -> a folder of packed images (docs/images.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aot/data/image_meta.h"

namespace aot {

struct ImagePrepareOptions {
  std::string images;  // a file
  std::string labels;  // a file
  std::string format = "idx";
  double val = 0.1;        // the last share of the images, for validation
  int64_t val_count = -1;  // or their number; -1: by share
  std::string out;         // must not exist, or be an empty folder
};

struct ImagePrepareResult {
  ImageMeta meta;
};

/// Makes `out` whole or not at all, in memory that does not grow with the number of images. Nothing when a signal asked for a stop.
/// Throws UsageError for what the command line says, FileError for what the files hold.
std::optional<ImagePrepareResult> prepare_images(const ImagePrepareOptions& options);

}  // namespace aot
