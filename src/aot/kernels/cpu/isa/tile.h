// SPDX-License-Identifier: Apache-2.0
// The micro-kernel that every product in this folder is made of: a few rows times two vectors of columns, held in registers.
#pragma once

#include "aot/kernels/cpu/isa/vector.h"

namespace aot {
namespace {

// Rows of a tile: 8 x 2 of 32 registers, or 4 x 2 of 16, leave room for the operands and outlast the latency of the additions.
#if defined(__AVX512F__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileCols = 2 * kLanes;
constexpr int64_t kPanel = 16;  // columns of a packed panel: [depth][16], the same for all instruction sets

AOT_INLINE int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}
AOT_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
AOT_INLINE int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/// The left operand of a product: element (row, k) is data[row * row_stride + k * depth_stride].
struct Left {
  const float* data;
  int64_t row_stride, depth_stride;
};

template <int R, int C>
AOT_INLINE void clear(Vec (&acc)[R][C]) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = zero();
}

// A long sum in one register loses digits; sums of at most this many terms, added up, keep them. Without fused multiply-adds every term is
// rounded twice.
#if defined(__FMA__)
constexpr int64_t kShortSum = 64;
#else
constexpr int64_t kShortSum = 32;
#endif

template <int R, int C>
AOT_INLINE void add(Vec (&to)[R][C], const Vec (&from)[R][C]) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) to[r][c] = to[r][c] + from[r][c];
}

template <int R, int C>
AOT_INLINE void multiply_in_order(Vec (&acc)[R][C], Left left, const float* const (&right)[C], int64_t right_stride, int64_t depth) {
  const float* a = left.data;
  const float* b[C];
  for (int c = 0; c < C; ++c) b[c] = right[c];
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k) {
    Vec columns[C];
    for (int c = 0; c < C; ++c) {
      columns[c] = load(b[c]);
      b[c] += right_stride;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec row = set1(a[r * left.row_stride]);
      for (int c = 0; c < C; ++c) acc[r][c] = fma(row, columns[c], acc[r][c]);
    }
    a += left.depth_stride;
  }
}

/// acc[r][c] += sum_k left(r, k) * right[c][k * right_stride ...], in short sums.
template <int R, int C>
AOT_INLINE void multiply_short(Vec (&acc)[R][C], Left left, const float* const (&right)[C], int64_t right_stride, int64_t depth) {
  if (depth <= kShortSum) return multiply_in_order<R, C>(acc, left, right, right_stride, depth);
  const float* b[C];
  for (int c = 0; c < C; ++c) b[c] = right[c];
  for (; depth > 0; depth -= kShortSum, left.data += kShortSum * left.depth_stride) {
    Vec part[R][C];
    clear(part);
    multiply_in_order<R, C>(part, left, b, right_stride, smaller(depth, kShortSum));
    add(acc, part);
    for (int c = 0; c < C; ++c) b[c] += kShortSum * right_stride;
  }
}

/// The same as one sum where the processor fuses: for products whose depth is cut into blocks already.
template <int R, int C>
AOT_INLINE void multiply(Vec (&acc)[R][C], Left left, const float* const (&right)[C], int64_t right_stride, int64_t depth) {
#if defined(__FMA__)
  multiply_in_order<R, C>(acc, left, right, right_stride, depth);
#else
  multiply_short<R, C>(acc, left, right, right_stride, depth);
#endif
}

/// out(r, c) += acc
template <int R, int C>
AOT_INLINE void add_to(float* out, int64_t stride, const Vec (&acc)[R][C]) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * stride + c * kLanes, load(out + r * stride + c * kLanes) + acc[r][c]);
}

/// out (R x width) += left (R x depth) * right (depth x width), right and out in rows of `stride`; width a multiple of the lanes.
template <int R>
AOT_INLINE void add_product(float* out, Left left, const float* right, int64_t stride, int64_t depth, int64_t width) {
  int64_t col = 0;
  for (; col + kTileCols <= width; col += kTileCols) {
    Vec acc[R][2];
    clear(acc);
    multiply<R, 2>(acc, left, {right + col, right + col + kLanes}, stride, depth);
    add_to(out + col, stride, acc);
  }
  if (col < width) {
    Vec acc[R][1];
    clear(acc);
    multiply<R, 1>(acc, left, {right + col}, stride, depth);
    add_to(out + col, stride, acc);
  }
}

}  // namespace
}  // namespace aot
