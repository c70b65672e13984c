// SPDX-License-Identifier: Apache-2.0
// Data sets that are drawn: their truth is known, and they need no files (docs/images.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aot/data/image_meta.h"
#include "aot/data/image_source.h"

namespace aot {

/// Digits drawn from strokes, grey, (side, side, 1). Image i is a function of (seed, side, i).
ImageSources drawn_digits(int64_t count, int64_t side, uint64_t seed);

/// Shapes with a texture on a ground with another, (side, side, 3), and their masks. Image i is a function of (seed, side, i).
ImageSources drawn_shapes(int64_t count, int64_t side, uint64_t seed);

}  // namespace aot
