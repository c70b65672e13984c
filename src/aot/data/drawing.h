// SPDX-License-Identifier: Apache-2.0
// Points, random draws, and pixels of drawn images.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "aot/core/random.h"

namespace aot {

struct Point {
  double x = 0, y = 0;
};

inline double draw_between(Random& random, double low, double high) {
  return low + (high - low) * random.uniform();
}

inline Point rotated(Point p, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * p.x - s * p.y, s * p.x + c * p.y};
}

/// A pixel from a brightness in [0, 1].
inline uint8_t pixel_of(double value) {
  return static_cast<uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
}

}  // namespace aot
