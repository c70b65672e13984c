// SPDX-License-Identifier: Apache-2.0
#include "aot/data/view.h"

#include <algorithm>
#include <cmath>

namespace aot {

int64_t shrink_for(const Box& box, int64_t height, int64_t width) {
  int64_t shrink = 8;
  while (shrink > 1 && (box.height < static_cast<double>(height * shrink) || box.width < static_cast<double>(width * shrink))) shrink /= 2;
  return shrink;
}

void read_part(const ImageSplit& split, int64_t index, const Box& box, int64_t height, int64_t width, Image& into, Image& scratch) {
  const ImageSize size = split.size_of(index);
  split.read(index, scratch, shrink_for(box, height, width));
  // The box in the pixels that were decoded.
  const auto down = static_cast<double>(scratch.height) / static_cast<double>(size.height);
  const auto across = static_cast<double>(scratch.width) / static_cast<double>(size.width);
  Box part = {box.top * down, box.left * across, box.height * down, box.width * across};
  part.height = std::min(part.height, static_cast<double>(scratch.height) - part.top);
  part.width = std::min(part.width, static_cast<double>(scratch.width) - part.left);
  resize_image(scratch, part, height, width, into);
}

void read_middle(const ImageSplit& split, int64_t index, int64_t shorter, int64_t side, Image& into, Image& scratch) {
  const ImageSize size = split.size_of(index);
  const Box whole = {0, 0, static_cast<double>(size.height), static_cast<double>(size.width)};
  const int64_t shortest = std::min(size.height, size.width);
  split.read(index, scratch, shrink_for(whole, shorter * size.height / shortest, shorter * size.width / shortest));
  resize_and_crop(scratch, shorter, side, side, into);
}

void read_middle_mask(const ImageSplit& split, int64_t index, int64_t shorter, int64_t side, std::vector<uint8_t>& into,
                      std::vector<uint8_t>& scratch) {
  split.read_mask(index, scratch);
  const int64_t height = split.height(), width = split.width(), shortest = std::min(height, width);
  // Where the middle of each row or column of the result lies in the mask: as resize_and_crop places them.
  const auto places = [&](int64_t length) {
    const int64_t resized = shorter * length / shortest;
    const double scale = static_cast<double>(length) / static_cast<double>(resized);
    const double first = std::nearbyint(static_cast<double>(resized - side) / 2);
    std::vector<int64_t> out(static_cast<size_t>(side));
    for (int64_t i = 0; i < side; ++i)
      out[static_cast<size_t>(i)] = std::min(length - 1, static_cast<int64_t>((first + static_cast<double>(i) + .5) * scale));
    return out;
  };
  const std::vector<int64_t> rows = places(height), columns = places(width);
  into.clear();
  for (const int64_t y : rows)
    for (const int64_t x : columns) into.push_back(scratch[static_cast<size_t>(y * width + x)]);
}

}  // namespace aot
