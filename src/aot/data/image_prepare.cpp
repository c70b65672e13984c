// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_prepare.h"

#include <algorithm>
#include <cmath>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/image_packer.h"
#include "aot/data/image_source.h"
#include "aot/data/new_folder.h"
#include "aot/io/error.h"

namespace aot {
namespace {

void check_options(const ImagePrepareOptions& options) {
  if (options.images.empty()) throw UsageError("data prepare needs --images FILE");
  if (options.labels.empty()) throw UsageError("IDX images need --labels FILE");
  if (options.out.empty()) throw UsageError("data prepare needs --out DIR");
  if (!(options.val >= 0 && options.val < 1)) throw UsageError(str("--val: need a share from 0 to below 1 (found ", options.val, ")"));
  check_is_new_folder(options.out);
}

/// How many of `images` are for training.
int64_t train_count(const ImagePrepareOptions& options, int64_t images) {
  const int64_t val = options.val_count >= 0 ? options.val_count
                                             : images - static_cast<int64_t>(std::floor(static_cast<double>(images) * (1 - options.val)));
  if (val >= images || (val == 0 && options.val_count < 0 && options.val > 0))
    throw FileError(options.images, "", str("has ", images, " images, need at least one on each side of the split"));
  return images - val;
}

/// Packs the next `count` images of `source`; false when a signal asked for a stop.
bool pack(ImageSource& source, int64_t count, ImagePacker& packer, Progress& progress, int64_t& done) {
  Image image;
  for (int64_t i = 0; i < count; ++i) {
    if (stop_signal() != 0) return false;
    const int64_t label = source.next(image);
    packer.add(image, label);
    progress.update(static_cast<double>(++done));
  }
  return true;
}

}  // namespace

std::optional<ImagePrepareResult> prepare_images(const ImagePrepareOptions& options) {
  check_options(options);
  const ImageSources sources = open_idx_images(options.images, options.labels);
  const int64_t images = sources.train->size(), train = train_count(options, images);

  NewFolder folder(options.out);
  Progress progress("prepare", static_cast<double>(images), "images");
  ImagePrepareResult result;
  ImageMeta& meta = result.meta;
  int64_t done = 0, classes = 0;
  {
    ImagePacker packer(folder, "train");
    if (!pack(*sources.train, train, packer, progress, done)) return std::nullopt;
    const PackedImages packed = packer.finish();
    meta.height = packed.height;
    meta.width = packed.width;
    meta.channels = packed.channels;
    meta.mean = packed.mean;
    meta.std = packed.std;
    meta.train = packed.split;
    classes = packed.largest_label + 1;
  }
  if (train < images) {
    ImagePacker packer(folder, "val");
    if (!pack(*sources.train, images - train, packer, progress, done)) return std::nullopt;
    const PackedImages packed = packer.finish();
    meta.val = packed.split;
    classes = std::max(classes, packed.largest_label + 1);
  }
  for (int64_t i = 0; i < classes; ++i) meta.classes.push_back(std::to_string(i));
  meta.source = options.format;
  folder.write_text("meta.json", image_meta_text(meta));
  folder.put_into_place();
  return result;
}

}  // namespace aot
