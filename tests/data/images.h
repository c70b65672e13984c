// SPDX-License-Identifier: Apache-2.0
// Small IDX files for the tests of images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aot/core/random.h"

namespace aot {

inline std::string idx_bytes(const std::vector<int64_t>& shape, const std::string& data) {
  std::string bytes = {0, 0, 8, static_cast<char>(shape.size())};
  for (const int64_t size : shape)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 255);
  return bytes + data;
}

/// `count` bytes, a function of the seed.
inline std::string random_bytes(uint64_t seed, int64_t count, uint64_t below = 256) {
  Random random(seed);
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) bytes += static_cast<char>(random.below(below));
  return bytes;
}

}  // namespace aot
