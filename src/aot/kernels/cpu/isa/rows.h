// SPDX-License-Identifier: Apache-2.0
// What kernels do with one row of numbers: go along it by vectors, norm it, turn it.
#pragma once

#include "aot/kernels/cpu/isa/vector.h"

namespace aot {
namespace {

/// Calls body(i, lanes) for the vectors of a row: they begin at i, and the first `lanes` of them belong to the row.
template <class Body>
AOT_INLINE void for_each_vector(int64_t width, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) body(i, kLanes);
  if (i < width) body(i, width - i);
}

template <class T>
AOT_INLINE Vec read(const T* p, int64_t lanes) {
  return lanes == kLanes ? load(p) : load_first(p, lanes);
}

template <class T>
AOT_INLINE void write(T* p, Vec a, int64_t lanes) {
  if (lanes == kLanes)
    store(p, a);
  else
    store_first(p, a, lanes);
}

}  // namespace
}  // namespace aot
