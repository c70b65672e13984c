// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <random>
#include <vector>

#include "aot/kernels/cpu/decode.h"

namespace aot::test {

inline std::vector<float> normal_floats(int64_t count, unsigned seed, double size = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> draw(0, size);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = static_cast<float>(draw(engine));
  return out;
}

/// Number `at` of weights or a cache, without the scale that int8 has.
inline double stored(NumberFormat format, const void* numbers, int64_t at) {
  switch (format) {
    case NumberFormat::float32:
      return static_cast<const float*>(numbers)[at];
    case NumberFormat::bfloat16:
      return std::bit_cast<float>(static_cast<uint32_t>(static_cast<const uint16_t*>(numbers)[at]) << 16);
    case NumberFormat::int8:
      return static_cast<const int8_t*>(numbers)[at];
  }
  return 0;
}

}  // namespace aot::test
