// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "aot/data/image_dataset.h"

namespace aot {

/// Square pictures of one size in rows, with gaps between them.
class Sheet {
 public:
  static constexpr int64_t kGap = 2;  // pixels
  static constexpr uint8_t kPaper = 32;

  Sheet(int64_t columns, int64_t rows, int64_t side, int64_t channels);
  /// Puts a picture (side, side, channels) into cell 0, 1, 2, ..., counted row by row.
  void place(const Image& picture, int64_t cell);
  [[nodiscard]] const Image& image() const { return image_; }

 private:
  int64_t columns_, side_;
  Image image_;
};

/// The first images of a split side by side, up to `columns` x `rows` of them, each cut to a square. Where masks are known, each is
/// followed by itself with all but its object dimmed.
Image contact_sheet(const ImageSplit& split, int64_t columns, int64_t rows);

}  // namespace aot
