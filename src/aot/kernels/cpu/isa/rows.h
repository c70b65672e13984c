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

struct Statistics {
  float mean, rstd;
};

/// Mean, 0 when not `centred`, and (mean (z - mean)^2 + epsilon)^-1/2 of a row.
template <class T>
AOT_INLINE Statistics statistics_of(const T* z, int64_t width, bool centred, float epsilon) {
  const float share = 1.0F / static_cast<float>(width);
  float mean = 0;
  if (centred) {
    Vec total = zero();
    for_each_vector(width, [&](int64_t i, int64_t lanes) { total = total + read(z + i, lanes); });
    mean = sum(total) * share;
  }
  Vec squares = zero(), rest = zero();
  for_each_vector(width, [&](int64_t i, int64_t lanes) {
    const Vec d = keep_first(read(z + i, lanes) - set1(mean), lanes);
    squares = fma(d, d, squares);
    rest = rest + d;
  });
  // Far from zero the first mean is off by the rounding of a large sum; what it leaves is small and summed exactly enough.
  if (centred) mean += sum(rest) * share;
  const float variance = sum(squares) * share;
  const float shown = variance - variance;  // NaN where the variance overflowed, so that no row turns into zeros unseen; else 0
  return {mean, 1.0F / __builtin_sqrtf(variance + epsilon) + shown};
}

/// x = (z - mean) rstd weight + bias; null: 1 and 0.
template <class T>
AOT_INLINE void normalise(const T* z, int64_t width, Statistics s, const float* weight, const float* bias, T* x) {
  for_each_vector(width, [&](int64_t i, int64_t lanes) {
    const Vec unit = (read(z + i, lanes) - set1(s.mean)) * set1(s.rstd);
    const Vec scaled = weight != nullptr ? unit * read(weight + i, lanes) : unit;
    write(x + i, bias != nullptr ? scaled + read(bias + i, lanes) : scaled, lanes);
  });
}

/// Pairs (i, i + dim / 2) turned by the angles of `cos` and `sin` (dim / 2), backwards when `back`. `to` may be `from`.
template <class T>
AOT_INLINE void turn_row(const T* from, const float* cos, const float* sin, int64_t dim, bool back, T* to) {
  const int64_t half = dim / 2;
  for_each_vector(half, [&](int64_t i, int64_t lanes) {
    const Vec c = read(cos + i, lanes), s0 = read(sin + i, lanes), s = back ? zero() - s0 : s0;
    const Vec x = read(from + i, lanes), y = read(from + half + i, lanes);
    write(to + i, x * c - y * s, lanes);
    write(to + half + i, y * c + x * s, lanes);
  });
}

}  // namespace
}  // namespace aot
