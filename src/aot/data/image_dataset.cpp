// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_dataset.h"

#include <filesystem>

#include "aot/data/large_images.h"
#include "aot/io/error.h"
#include "aot/io/json.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

void check_size(const InputFile& file, int64_t images, uint64_t image_bytes) {
  const uint64_t found = file.size() / image_bytes;
  if (found != static_cast<uint64_t>(images) || file.size() % image_bytes != 0)
    throw FileError(
        file.path(), "",
        str("meta.json says ", images, " images, file has ", found, file.size() % image_bytes != 0 ? " and a part of one" : ""));
}

void check_digest(const InputFile& file, const std::string& sha256) {
  if (file_sha256(file) != sha256) throw FileError(file.path(), "", "digest mismatch: not the file that was prepared");
}

}  // namespace

ImageSplit::ImageSplit(const std::string& folder, const std::string& name, const ImageMeta& meta, const ImageSplitMeta& split)
    : pixels_(folder + "/" + name + ".images"),
      labels_file_(folder + "/" + name + ".labels"),
      height_(meta.height),
      width_(meta.width),
      channels_(meta.channels),
      pixels_sha256_(split.pixels_sha256),
      labels_sha256_(split.labels_sha256),
      masks_sha256_(split.masks_sha256),
      sizes_sha256_(split.sizes_sha256),
      large_(std::make_unique<LargeImages>()) {
  if (!masks_sha256_.empty()) {
    masks_.emplace(folder + "/" + name + ".masks");
    check_size(*masks_, split.images, static_cast<uint64_t>(height_ * width_));
  }
  if (sizes_sha256_.empty())
    check_size(pixels_, split.images, static_cast<uint64_t>(height_ * width_ * channels_));
  else
    read_sizes(folder + "/" + name + ".sizes", split);
  check_size(labels_file_, split.images, sizeof(uint16_t));
  labels_.resize(static_cast<size_t>(split.images));
  labels_file_.read_at(0, labels_.data(), labels_.size() * sizeof(uint16_t));
  for (size_t i = 0; i < labels_.size(); ++i)
    if (labels_[i] >= meta.classes.size())
      throw FileError(labels_file_.path(), str("record ", i), str("label ", labels_[i], " of ", meta.classes.size(), " classes"));
}

ImageSplit::~ImageSplit() = default;

void ImageSplit::check_index(int64_t index) const {
  if (index < 0 || index >= size()) throw Error(ExitCode::failed, str("image ", index, " of ", size()));
}

void ImageSplit::read_sizes(const std::string& path, const ImageSplitMeta& split) {
  sizes_file_.emplace(path);
  check_size(*sizes_file_, split.images, sizeof(PackedSize));
  sizes_.resize(static_cast<size_t>(split.images));
  sizes_file_->read_at(0, sizes_.data(), sizes_.size() * sizeof(PackedSize));
  uint64_t offset = 0;
  for (const PackedSize& size : sizes_) {
    const auto place = [&] { return str("record ", offsets_.size()); };
    if (size.bytes == 0 || size.bytes > kMaxImageFileBytes) throw FileError(path, place(), str("a file of ", size.bytes, " bytes"));
    if (size.height == 0 || size.width == 0) throw FileError(path, place(), str("an image of ", size.height, " x ", size.width));
    offsets_.push_back(offset);
    offset += size.bytes;
  }
  if (offset != pixels_.size()) throw FileError(pixels_.path(), "", str("its .sizes say ", offset, " bytes, file has ", pixels_.size()));
}

ImageSize ImageSplit::size_of(int64_t index) const {
  check_index(index);
  if (sizes_.empty()) return {height_, width_};
  const PackedSize& size = sizes_[static_cast<size_t>(index)];
  return {size.height, size.width};
}

void ImageSplit::read(int64_t index, Image& into, int64_t shrink) const {
  check_index(index);
  if (sizes_.empty()) {
    into.reshape(height_, width_, channels_);
    pixels_.read_at(static_cast<uint64_t>(index) * into.pixels.size(), into.pixels.data(), into.pixels.size());
    return;
  }
  const auto at = static_cast<size_t>(index);
  std::string file(sizes_[at].bytes, '\0');
  pixels_.read_at(offsets_[at], file.data(), file.size());
  const std::string place = str(path(), " image ", index);
  const LargeImages::Room room(*large_, read_image_size(file, place));
  decode_image(file, place, channels_, shrink, into);
}

void ImageSplit::read_mask(int64_t index, std::vector<uint8_t>& into) const {
  check_index(index);
  if (!masks_) throw Error(ExitCode::failed, str(escaped(path()), ": has no masks"));
  into.resize(static_cast<size_t>(height_ * width_));
  masks_->read_at(static_cast<uint64_t>(index) * into.size(), into.data(), into.size());
}

void ImageSplit::check_all() const {
  check_digest(pixels_, pixels_sha256_);
  check_digest(labels_file_, labels_sha256_);
  if (masks_) check_digest(*masks_, masks_sha256_);
  if (sizes_file_) check_digest(*sizes_file_, sizes_sha256_);
}

bool holds_images(const std::string& path) {
  const std::string meta = path + "/meta.json";
  std::error_code ignored;
  if (!fs::is_directory(path, ignored) || !fs::exists(meta, ignored)) return false;
  const Json json = parse_json(read_file(meta, kMaxImageMetaBytes), meta);
  return json.is_object() && json.contains("kind") && json["kind"] == "images";
}

ImageDataset open_image_dataset(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw FileError(path, "", "no such folder");
  if (!fs::is_directory(path, ignored) || !fs::exists(path + "/meta.json", ignored))
    throw FileError(path, "", "no prepared images: need a folder with meta.json", "make one by aot data prepare --images FILE --out DIR");
  const ImageMeta meta = read_image_meta(path + "/meta.json");
  ImageDataset data;
  data.path = path;
  data.classes = meta.classes;
  data.height = meta.height;
  data.width = meta.width;
  data.channels = meta.channels;
  data.mean = meta.mean;
  data.std = meta.std;
  data.train = std::make_unique<ImageSplit>(path, "train", meta, meta.train);
  data.train_sha256 = meta.train.pixels_sha256;
  if (meta.val) {
    data.val = std::make_unique<ImageSplit>(path, "val", meta, *meta.val);
    data.val_sha256 = meta.val->pixels_sha256;
  }
  return data;
}

}  // namespace aot
