// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_prepare.h"

#include <algorithm>
#include <cmath>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/image_packer.h"
#include "aot/data/new_folder.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// How many of the last images are for validation.
int64_t val_count(const std::string& name, const PackOptions& options, int64_t images) {
  const auto share = images - static_cast<int64_t>(std::floor(static_cast<double>(images) * (1 - options.val)));
  const int64_t count = options.val_count >= 0 ? options.val_count : share;
  if (count >= images) throw FileError(name, "", str("has ", images, " images, need at least one on each side of the split"));
  return count;
}

/// Packs one split after the other.
class Packing {
 public:
  Packing(const NewFolder& folder, int64_t images) : folder_(folder), progress_("pack", static_cast<double>(images), "images") {}

  /// The next `count` images of `source`; nothing when a signal asked for a stop.
  std::optional<PackedImages> split(ImageSource& source, int64_t count, const std::string& split) {
    ImagePacker packer(folder_, split);
    for (int64_t i = 0; i < count; ++i) {
      if (stop_signal() != 0) return std::nullopt;
      source.next(image_);
      packer.add(image_);
      progress_.update(static_cast<double>(++done_));
    }
    return packer.finish();
  }

 private:
  const NewFolder& folder_;
  Progress progress_;
  LabelledImage image_;
  int64_t done_ = 0;
};

}  // namespace

void check_pack_options(const PackOptions& options) {
  if (options.out.empty()) throw UsageError("need --out DIR");
  if (!(options.val >= 0 && options.val < 1)) throw UsageError(str("--val: need a share from 0 to below 1 (found ", options.val, ")"));
  check_is_new_folder(options.out);
}

std::optional<ImageMeta> pack_images(const ImageSources& sources, const std::string& name, const PackOptions& options) {
  check_pack_options(options);
  const int64_t all = sources.train->size(), val = val_count(name, options, all);
  NewFolder folder(options.out);
  Packing packing(folder, all);
  const std::optional<PackedImages> train = packing.split(*sources.train, all - val, "train");
  if (!train) return std::nullopt;
  ImageMeta meta = {.height = train->height,
                    .width = train->width,
                    .channels = train->channels,
                    .classes = sources.classes,
                    .mean = train->mean,
                    .std = train->std,
                    .train = train->split,
                    .source = name};
  int64_t largest_label = train->largest_label;
  if (val > 0) {
    const std::optional<PackedImages> packed = packing.split(*sources.train, val, "val");
    if (!packed) return std::nullopt;
    meta.val = packed->split;
    largest_label = std::max(largest_label, packed->largest_label);
  }
  if (meta.classes.empty())
    for (int64_t label = 0; label <= largest_label; ++label) meta.classes.push_back(std::to_string(label));
  folder.write_text("meta.json", image_meta_text(meta));
  folder.put_into_place();
  return meta;
}

std::optional<ImageMeta> prepare_images(const ImagePrepareOptions& options) {
  if (options.images.empty()) throw UsageError("data prepare needs --images FILE");
  if (options.labels.empty()) throw UsageError("IDX images need --labels FILE");
  check_pack_options(options.pack);
  return pack_images(open_idx_images(options.images, options.labels), options.images, options.pack);
}

}  // namespace aot
