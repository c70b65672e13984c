// SPDX-License-Identifier: Apache-2.0
#include "aot/data/contact_sheet.h"

#include <algorithm>
#include <vector>

#include "aot/data/view.h"

namespace aot {
namespace {

constexpr int64_t kLeastSide = 48, kMostSide = 112;  // of a picture on the sheet

/// The picture with what its mask leaves out dimmed to a quarter.
void dim(const std::vector<uint8_t>& mask, Image& picture) {
  for (size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] != 0) continue;
    uint8_t* pixel = picture.pixels.data() + static_cast<int64_t>(i) * picture.channels;
    std::transform(pixel, pixel + picture.channels, pixel, [](uint8_t value) { return static_cast<uint8_t>(value / 4); });
  }
}

}  // namespace

Sheet::Sheet(int64_t columns, int64_t rows, int64_t side, int64_t channels) : columns_(columns), side_(side) {
  image_.reshape(rows * (side + kGap) - kGap, columns * (side + kGap) - kGap, channels);
  std::fill(image_.pixels.begin(), image_.pixels.end(), kPaper);
}

void Sheet::place(const Image& picture, int64_t cell) {
  const int64_t top = cell / columns_ * (side_ + kGap), left = cell % columns_ * (side_ + kGap), row = side_ * picture.channels;
  for (int64_t y = 0; y < side_; ++y)
    std::copy_n(picture.pixels.data() + y * row, row, image_.pixels.data() + ((top + y) * image_.width + left) * image_.channels);
}

Image contact_sheet(const ImageSplit& split, int64_t columns, int64_t rows) {
  const int64_t per_image = split.has_masks() ? 2 : 1, images = std::min(split.size(), columns * rows / per_image);
  columns = std::min(columns, images * per_image);
  rows = (images * per_image + columns - 1) / columns;
  const ImageSize first = split.size_of(0);
  const int64_t side = std::clamp(std::min(first.height, first.width), kLeastSide, kMostSide);
  Sheet sheet(columns, rows, side, split.channels());
  Image picture, scratch;
  std::vector<uint8_t> mask, whole_mask;
  for (int64_t i = 0; i < images; ++i) {
    read_middle(split, i, side, side, picture, scratch);
    sheet.place(picture, i * per_image);
    if (!split.has_masks()) continue;
    read_middle_mask(split, i, side, side, mask, whole_mask);
    dim(mask, picture);
    sheet.place(picture, i * per_image + 1);
  }
  return sheet.image();
}

}  // namespace aot
