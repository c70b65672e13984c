// SPDX-License-Identifier: Apache-2.0
#include "aot/data/mix.h"

#include <algorithm>
#include <cmath>

namespace aot {
namespace {

/// Rows [top, bottom) and columns [left, right).
struct Rectangle {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

/// A rectangle of the share 1 - keep of the area and the image's own ratio around any pixel, cut at the edges.
Rectangle draw_rectangle(Random& random, double keep, int64_t height, int64_t width) {
  const double side = std::sqrt(1 - keep);
  const auto half_height = static_cast<int64_t>(side * static_cast<double>(height) / 2),
             half_width = static_cast<int64_t>(side * static_cast<double>(width) / 2);
  const auto y = static_cast<int64_t>(random.below(static_cast<uint64_t>(height))),
             x = static_cast<int64_t>(random.below(static_cast<uint64_t>(width)));
  return {std::max<int64_t>(0, y - half_height), std::min(height, y + half_height), std::max<int64_t>(0, x - half_width),
          std::min(width, x + half_width)};
}

void blend(float keep, int64_t length, float* a, float* b) {
  for (int64_t i = 0; i < length; ++i) {
    const float mixed = keep * a[i] + (1 - keep) * b[i];
    b[i] = keep * b[i] + (1 - keep) * a[i];
    a[i] = mixed;
  }
}

}  // namespace

double draw_beta(Random& random, double alpha) {
  for (;;) {
    const double x = std::pow(random.uniform(), 1 / alpha), y = std::pow(random.uniform(), 1 / alpha);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

double mix_batch(Random& random, double mixup, double cutmix, const PixelBatch& batch) {
  const int64_t image = batch.channels * batch.height * batch.width, pairs = batch.count / 2;
  const auto at = [&](int64_t index) { return batch.pixels + index * image; };
  const bool blends = cutmix == 0 || (mixup > 0 && random.below(2) == 0);
  const double keep = draw_beta(random, blends ? mixup : cutmix);
  if (blends) {
    for (int64_t i = 0; i < pairs; ++i) blend(static_cast<float>(keep), image, at(i), at(batch.count - 1 - i));
    return keep;
  }
  const Rectangle cut = draw_rectangle(random, keep, batch.height, batch.width);
  for (int64_t i = 0; i < pairs; ++i)
    for (int64_t c = 0; c < batch.channels; ++c)
      for (int64_t y = cut.top; y < cut.bottom; ++y) {
        const int64_t row = (c * batch.height + y) * batch.width;
        std::swap_ranges(at(i) + row + cut.left, at(i) + row + cut.right, at(batch.count - 1 - i) + row + cut.left);
      }
  return 1 - static_cast<double>((cut.bottom - cut.top) * (cut.right - cut.left)) / static_cast<double>(batch.height * batch.width);
}

}  // namespace aot
