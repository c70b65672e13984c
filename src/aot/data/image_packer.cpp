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
    : masks_path_(folder.path(name + ".masks")), pixels_(folder.path(name + ".images")), labels_(folder.path(name + ".labels")) {}

void ImagePacker::add(const LabelledImage& labelled) {
  const Image& image = labelled.image;
  const int64_t label = labelled.label;
  if (images() == 0) {
    packed_.height = image.height;
    packed_.width = image.width;
    packed_.channels = image.channels;
    counts_.resize(static_cast<size_t>(image.channels) * kValues);
    if (!labelled.mask.empty()) masks_.emplace(masks_path_);
  }
  if (image.height != packed_.height || image.width != packed_.width || image.channels != packed_.channels)
    throw Error(ExitCode::failed, "images of one split need one shape");
  if (label < 0 || label >= kMaxClasses) throw Error(ExitCode::failed, str("label ", label, " is not below ", kMaxClasses));
  if (labelled.mask.size() != (masks_ ? static_cast<size_t>(image.height * image.width) : 0))
    throw Error(ExitCode::failed, "all images of one split need a mask of their size, or none");
  if (masks_) masks_->write(labelled.mask.data(), labelled.mask.size());
  pixels_.write(image.pixels.data(), image.pixels.size());
  const auto narrow = static_cast<uint16_t>(label);
  labels_.write(&narrow, sizeof narrow);
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) ++counts_[i % channels * kValues + image.pixels[i]];
  packed_.largest_label = std::max(packed_.largest_label, label);
  ++packed_.split.images;
}

PackedImages ImagePacker::finish() {
  packed_.split.pixels_sha256 = pixels_.finish();
  packed_.split.labels_sha256 = labels_.finish();
  if (masks_) packed_.split.masks_sha256 = masks_->finish();
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
