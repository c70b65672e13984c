// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_prepare.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

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
  Packing(const NewFolder& folder, const std::string& name, int64_t images)
      : folder_(folder), name_(name), progress_("pack", static_cast<double>(images), "images") {}

  /// The next `count` images of `source`; nothing when a signal asked for a stop.
  std::optional<PackedImages> split(ImageSource& source, int64_t count, const std::string& split) {
    ImagePacker packer(folder_, split);
    for (int64_t i = 0; i < count; ++i) {
      if (stop_signal() != 0) return std::nullopt;
      if (source.next(image_)) packer.add(image_);
      progress_.update(static_cast<double>(++done_));
    }
    if (packer.images() == 0) throw FileError(name_, "", str("none of the ", count, " images for ", split, " is good"));
    return packer.finish();
  }

 private:
  const NewFolder& folder_;
  const std::string& name_;
  Progress progress_;
  LabelledImage image_;
  int64_t done_ = 0;
};

/// Notes which images were left out.
void note_skipped(const ImageSource& source, ImageMeta& meta) {
  for (const std::string& reason : source.skipped()) {
    ++meta.skipped;
    log_detail("skipped " + reason);
    if (meta.reasons.size() < kMaxReasons) meta.reasons.push_back(reason);
  }
}

ImageSources open_images(const ImagePrepareOptions& options) {
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(options.images, ignored);
  const std::string format = options.format != "auto" ? options.format : is_folder ? "folder" : "idx";
  if (format != "idx" && !options.labels.empty()) throw UsageError(str("--labels: ", format, " images bring their own"));
  if (format != "idx" && !(options.val_images + options.val_labels).empty())
    throw UsageError(str("--val-images and --val-labels are for IDX files, not for ", format, " images"));
  if (options.val_images.empty() != options.val_labels.empty()) throw UsageError("--val-images and --val-labels go together");
  if (format != "folder" && options.folder.size > 0) throw UsageError(str("--size: ", format, " images have one size"));
  if (format != "folder" && options.folder.skip_bad) throw UsageError(str("--skip-bad: ", format, " images come in one file, bad or good"));
  if (format == "cifar10" || format == "cifar100") return open_cifar_images(options.images, format == "cifar100");
  if (format == "folder") {
    if (!is_folder) throw FileError(options.images, "", "no such folder");
    return open_image_folder(options.images, options.folder);
  }
  if (options.labels.empty()) throw UsageError("IDX images need --labels FILE");
  ImageSources sources = open_idx_images(options.images, options.labels);
  if (!options.val_images.empty()) sources.val = std::move(open_idx_images(options.val_images, options.val_labels).train);
  return sources;
}

}  // namespace

void check_pack_options(const PackOptions& options) {
  if (options.out.empty()) throw UsageError("need --out DIR");
  if (!(options.val >= 0 && options.val < 1)) throw UsageError(str("--val: need a share from 0 to below 1 (found ", options.val, ")"));
  check_is_new_folder(options.out);
}

std::optional<ImageMeta> pack_images(const ImageSources& sources, const std::string& name, const PackOptions& options) {
  check_pack_options(options);
  const int64_t all = sources.train->size(), cut = sources.val ? 0 : val_count(name, options, all);
  ImageSource& val_source = sources.val ? *sources.val : *sources.train;
  const int64_t val = sources.val ? sources.val->size() : cut;
  NewFolder folder(options.out);
  Packing packing(folder, name, all - cut + val);
  const std::optional<PackedImages> train = packing.split(*sources.train, all - cut, "train");
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
    const std::optional<PackedImages> packed = packing.split(val_source, val, "val");
    if (!packed) return std::nullopt;
    if (packed->height != train->height || packed->width != train->width || packed->channels != train->channels)
      throw FileError(name, "",
                      str("images for validation are ", packed->height, " x ", packed->width, " x ", packed->channels,
                          ", those to train on ", train->height, " x ", train->width, " x ", train->channels));
    meta.val = packed->split;
    largest_label = std::max(largest_label, packed->largest_label);
  }
  note_skipped(*sources.train, meta);
  if (sources.val) note_skipped(*sources.val, meta);
  if (meta.skipped > 0) log_info(str("skipped ", meta.skipped, " bad images (--verbose and meta.json name them)"));
  if (meta.classes.empty())
    for (int64_t label = 0; label <= largest_label; ++label) meta.classes.push_back(std::to_string(label));
  folder.write_text("meta.json", image_meta_text(meta));
  folder.put_into_place();
  return meta;
}

std::optional<ImageMeta> prepare_images(const ImagePrepareOptions& options) {
  if (options.images.empty()) throw UsageError("data prepare needs --images FILE or DIR");
  check_pack_options(options.pack);
  return pack_images(open_images(options), options.images, options.pack);
}

}  // namespace aot
