// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "aot/core/random.h"

namespace aot {

/// `count` bytes, a function of the seed.
inline std::string random_bytes(uint64_t seed, int64_t count, uint64_t below = 256) {
  Random random(seed);
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) bytes += static_cast<char>(random.below(below));
  return bytes;
}

}  // namespace aot
