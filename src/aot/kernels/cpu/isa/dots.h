// SPDX-License-Identifier: Apache-2.0
// bfloat16 products on the processor's dot instruction, which adds the products of two neighbours in depth to a float32 sum.
#pragma once

#include "aot/kernels/cpu/isa/panels.h"

#if defined(__AVX512BF16__)

namespace aot {
namespace {

/// The left operand: the pair (row, k), k even, is at data[row * row_stride + k / 2 * pair_stride].
struct LeftPairs {
  const uint16_t* data;
  int64_t row_stride, pair_stride;
};

AOT_INLINE __m512bh load_pairs(const uint16_t* p) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
}
/// One pair in all lanes.
AOT_INLINE __m512bh set1_pair(const uint16_t* p) {
  int pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

/// acc[r][c] += sum_k left(r, k) * right[c][k], over panels as pack_pairs makes them. An odd depth reads the zero behind it.
template <int R, int C>
AOT_INLINE void multiply_pairs(Vec (&acc)[R][C], LeftPairs left, const uint16_t* const (&right)[C], int64_t depth) {
  const uint16_t* a = left.data;
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; k += 2, a += left.pair_stride) {
    __m512bh columns[C];
    for (int c = 0; c < C; ++c) columns[c] = load_pairs(right[c] + k * kPanel);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512bh row = set1_pair(a + r * left.row_stride);
      for (int c = 0; c < C; ++c) acc[r][c].v = _mm512_dpbf16_ps(acc[r][c].v, row, columns[c]);
    }
  }
}

/// 32 numbers rounded to bfloat16, in order.
struct Pairs {
  __m512i v;
};
AOT_INLINE Pairs to_pairs(Vec low, Vec high) {
  return {reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v))};
}
/// Lane i of `low` beside lane i of `high`.
AOT_INLINE Pairs to_pairs_of_lanes(Vec low, Vec high) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3,
                                         18, 2, 17, 1, 16, 0);
  return {_mm512_permutexvar_epi16(order, to_pairs(low, high).v)};
}
AOT_INLINE void store(uint16_t* p, Pairs a) {
  _mm512_storeu_si512(p, a.v);
}
/// Adds both numbers of each pair, as they were rounded.
AOT_INLINE Vec add_pairs(Vec sum, Pairs a) {
  const auto one = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F80));
  return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v), one)};
}

}  // namespace
}  // namespace aot

#endif
