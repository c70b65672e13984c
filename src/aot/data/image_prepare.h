// SPDX-License-Identifier: Apache-2.0
// Labelled images -> a folder of packed images (docs/images.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aot/data/image_meta.h"
#include "aot/data/image_source.h"

namespace aot {

/// Where packed images go, and which of them are for validation when the source does not say.
struct PackOptions {
  std::string out;         // must not exist, or be an empty folder
  double val = 0.1;        // the last share of the images, for validation
  int64_t val_count = -1;  // or their number; -1: by share
};

struct ImagePrepareOptions {
  std::string images;                  // a file or a folder
  std::string labels;                  // a file, for IDX
  std::string val_images, val_labels;  // IDX: the validation part, where it has files of its own
  std::string format = "auto";         // idx, cifar10, cifar100, folder; auto: a folder is `folder`, a file `idx`
  FolderOptions folder;
  PackOptions pack;
};

/// Makes `out` whole or not at all, in memory that does not grow with the number of images, and returns its meta.json; nothing when a
/// signal asked for a stop. Throws UsageError for what the command line says, FileError for what the files hold.
std::optional<ImageMeta> prepare_images(const ImagePrepareOptions& options);

/// The same from any source, called `name` in messages and in meta.json.
std::optional<ImageMeta> pack_images(const ImageSources& sources, const std::string& name, const PackOptions& options);

/// Throws UsageError for what `pack_images` would refuse, before anything is opened.
void check_pack_options(const PackOptions& options);

}  // namespace aot
