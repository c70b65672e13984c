// SPDX-License-Identifier: Apache-2.0
// What is done to an image at random before it is trained on (docs/images.md). Everything is off by default.
#pragma once

#include <cstdint>

#include "aot/core/options.h"
#include "aot/core/random.h"
#include "aot/io/image.h"

namespace aot {

struct AugmentOptions {
  int64_t shift = 0;  // pixels in each direction, at most
};

void describe(Fields& fields, AugmentOptions& options);

/// Changes `image` by what the options ask for, drawn from `random`: equal randomness, equal result. `scratch` keeps memory between calls.
void augment(const AugmentOptions& options, Random& random, Image& image, Image& scratch);

/// The image moved down by `down` and right by `right` pixels (negative: up, left); what comes in is 0.
void shift_image(const Image& image, int64_t down, int64_t right, Image& into);

}  // namespace aot
