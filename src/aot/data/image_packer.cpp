// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_packer.h"

#include <algorithm>
#include <cmath>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr size_t kValues = 256;

}  // namespace

ImagePacker::ImagePacker(const NewFolder& folder, const std::string& name)
    : masks_path_(folder.path(name + ".masks")),
      sizes_path_(folder.path(name + ".sizes")),
      pixels_(folder.path(name + ".images")),
      labels_(folder.path(name + ".labels")) {}

void ImagePacker::add(const LabelledImage& labelled) {
  if (labelled.label < 0 || labelled.label >= kMaxClasses)
    throw Error(ExitCode::failed, str("label ", labelled.label, " is not below ", kMaxClasses));
  if (images() == 0) start(labelled);
  if (labelled.file.empty() == sizes_.has_value() || labelled.image.channels != packed_.channels)
    throw Error(ExitCode::failed, "images of one split need one form");
  if (sizes_)
    add_file(labelled);
  else
    add_pixels(labelled);
  const auto label = static_cast<uint16_t>(labelled.label);
  labels_.write(&label, sizeof label);
  const auto channels = static_cast<size_t>(packed_.channels);
  const std::vector<uint8_t>& pixels = labelled.image.pixels;
  for (size_t i = 0; i < pixels.size(); ++i) ++counts_[i % channels * kValues + pixels[i]];
  packed_.largest_label = std::max(packed_.largest_label, labelled.label);
  ++packed_.split.images;
}

void ImagePacker::start(const LabelledImage& first) {
  packed_.channels = first.image.channels;
  counts_.resize(static_cast<size_t>(first.image.channels) * kValues);
  if (!first.file.empty()) {
    sizes_.emplace(sizes_path_);
    return;
  }
  packed_.height = first.image.height;
  packed_.width = first.image.width;
  if (!first.mask.empty()) masks_.emplace(masks_path_);
}

void ImagePacker::add_pixels(const LabelledImage& labelled) {
  const Image& image = labelled.image;
  if (image.height != packed_.height || image.width != packed_.width) throw Error(ExitCode::failed, "images of one split need one size");
  if (labelled.mask.size() != (masks_ ? static_cast<size_t>(image.height * image.width) : 0))
    throw Error(ExitCode::failed, "all images of one split need a mask of their size, or none");
  if (masks_) masks_->write(labelled.mask.data(), labelled.mask.size());
  pixels_.write(image.pixels.data(), image.pixels.size());
}

void ImagePacker::add_file(const LabelledImage& labelled) {
  const PackedSize size = {static_cast<uint32_t>(labelled.file.size()), static_cast<uint16_t>(labelled.size.height),
                           static_cast<uint16_t>(labelled.size.width)};
  sizes_->write(&size, sizeof size);
  pixels_.write(labelled.file);
}

PackedImages ImagePacker::finish() {
  packed_.split.pixels_sha256 = pixels_.finish();
  packed_.split.labels_sha256 = labels_.finish();
  if (masks_) packed_.split.masks_sha256 = masks_->finish();
  if (sizes_) packed_.split.sizes_sha256 = sizes_->finish();
  for (size_t channel = 0; channel * kValues < counts_.size(); ++channel) {
    double count = 0, sum = 0, squares = 0;
    for (size_t value = 0; value < kValues; ++value) {
      const auto times = static_cast<double>(counts_[channel * kValues + value]), x = static_cast<double>(value) / 255;
      count += times;
      sum += times * x;
      squares += times * x * x;
    }
    const double mean = sum / count, variance = squares / count - mean * mean;
    packed_.mean.push_back(mean);
    packed_.std.push_back(variance > 1e-12 ? std::sqrt(variance) : 1);
  }
  return packed_;
}

}  // namespace aot
