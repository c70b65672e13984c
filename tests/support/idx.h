// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace aot {

/// An IDX file of that shape; type 8 is unsigned bytes.
inline std::string idx_bytes(const std::vector<int64_t>& shape, const std::string& data, char type = 8) {
  std::string bytes = {0, 0, type, static_cast<char>(shape.size())};
  for (const int64_t size : shape)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 255);
  return bytes + data;
}

}  // namespace aot
