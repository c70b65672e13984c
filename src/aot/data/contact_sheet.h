// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "aot/data/image_dataset.h"

namespace aot {

/// The first images of a split side by side, up to `columns` x `rows` of them, each cut to a square. Where masks are known, each is
/// followed by itself with all but its object dimmed.
Image contact_sheet(const ImageSplit& split, int64_t columns, int64_t rows);

}  // namespace aot
