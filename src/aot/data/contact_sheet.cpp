// SPDX-License-Identifier: Apache-2.0
#include "aot/data/contact_sheet.h"

#include <algorithm>
#include <vector>

#include "aot/data/view.h"

namespace aot {
namespace {

constexpr int64_t kLeastSide = 48, kMostSide = 112;  // of a picture on the sheet
constexpr int64_t kGap = 2;
constexpr uint8_t kPaper = 32;

void paste(const Image& picture, int64_t top, int64_t left, Image& sheet) {
  const int64_t row = picture.width * picture.channels;
  for (int64_t y = 0; y < picture.height; ++y)
    std::copy_n(picture.pixels.data() + y * row, row, sheet.pixels.data() + ((top + y) * sheet.width + left) * sheet.channels);
}

/// The picture with what its mask leaves out dimmed to a quarter. A mask has the size of the image; pictures are squares of its middle.
void dim(const std::vector<uint8_t>& mask, int64_t mask_height, int64_t mask_width, Image& picture) {
  const int64_t shortest = std::min(mask_height, mask_width), top = (mask_height - shortest) / 2, left = (mask_width - shortest) / 2;
  for (int64_t y = 0; y < picture.height; ++y)
    for (int64_t x = 0; x < picture.width; ++x) {
      const int64_t mask_y = top + y * shortest / picture.height, mask_x = left + x * shortest / picture.width;
      if (mask[static_cast<size_t>(mask_y * mask_width + mask_x)] != 0) continue;
      uint8_t* pixel = picture.pixels.data() + (y * picture.width + x) * picture.channels;
      std::transform(pixel, pixel + picture.channels, pixel, [](uint8_t value) { return static_cast<uint8_t>(value / 4); });
    }
}

}  // namespace

Image contact_sheet(const ImageSplit& split, int64_t columns, int64_t rows) {
  const int64_t per_image = split.has_masks() ? 2 : 1, images = std::min(split.size(), columns * rows / per_image);
  columns = std::min(columns, images * per_image);
  rows = (images * per_image + columns - 1) / columns;
  const ImageSize first = split.size_of(0);
  const int64_t side = std::clamp(std::min(first.height, first.width), kLeastSide, kMostSide);
  Image sheet, picture, scratch;
  sheet.reshape(rows * (side + kGap) - kGap, columns * (side + kGap) - kGap, split.channels());
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), kPaper);
  std::vector<uint8_t> mask;
  const auto place = [&](int64_t cell) { paste(picture, cell / columns * (side + kGap), cell % columns * (side + kGap), sheet); };
  for (int64_t i = 0; i < images; ++i) {
    read_middle(split, i, side, side, picture, scratch);
    place(i * per_image);
    if (!split.has_masks()) continue;
    split.read_mask(i, mask);
    dim(mask, split.height(), split.width(), picture);
    place(i * per_image + 1);
  }
  return sheet;
}

}  // namespace aot
