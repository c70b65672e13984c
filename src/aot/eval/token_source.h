// SPDX-License-Identifier: Apache-2.0
// Where evaluations read tokens from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "aot/data/token_dataset.h"

namespace aot {

/// Tokens to be read by position: a file, or memory.
struct TokenSource {
  int64_t tokens = 0;
  std::function<void(int64_t first, int64_t count, int64_t* into)> read;
};

/// The tokens of a file or of memory, which must outlive the source.
inline TokenSource source_of(const TokenFile& file) {
  return {file.tokens(), [&file](int64_t first, int64_t count, int64_t* into) { file.read(first, count, into); }};
}

inline TokenSource source_of(const std::vector<int32_t>& tokens) {
  return {static_cast<int64_t>(tokens.size()),
          [&tokens](int64_t first, int64_t count, int64_t* into) { std::copy_n(tokens.begin() + first, count, into); }};
}

}  // namespace aot
