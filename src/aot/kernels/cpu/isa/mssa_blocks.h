// SPDX-License-Identifier: Apache-2.0
// A block of the T x T matrix held as tiles of numbers, and its two products: with the rows of its columns, and turned over.
#pragma once

#include "aot/kernels/cpu/isa/mssa_head.h"

namespace aot {
namespace {

constexpr int64_t kBlockCols = 64;  // two tiles of 32 x 64 numbers and the accumulators stay near the first-level cache

constexpr int kPairRows = kTileRows / 2;  // where two or three products are made together, each has half the rows of a tile

/// acc = unscaled scores of kTileRows rows from `row` on with C vectors of columns from `col` on.
template <int C>
AOT_INLINE void tile_scores(Vec (&acc)[kTileRows][C], const Head& head, int64_t row, int64_t col) {
  const float* columns[C];
  for (int c = 0; c < C; ++c) columns[c] = panel_column(head.panels, head.dim, col + c * kLanes);
  clear(acc);
  multiply_short<kTileRows, C>(acc, {panel_column(head.panels, head.dim, row), 1, kPanel}, columns, kPanel, head.dim);
}

/// Which part of the matrix is visited.
enum class Part {
  all,
  causal,  // columns up to the row's own; a tile of rows sees those of its last row
  lower,   // columns up to the end of the row's own panel of 16: turned over, the rest of the matrix but for the panels on the diagonal
};

/// Rows row0 .. row0 + rows - 1 (whole tiles) and columns first .. last - 1.
struct Block {
  Part part;
  int64_t row0, rows, first, last;
};

/// One behind the last column that the tile of rows from `row` on sees.
AOT_INLINE int64_t columns_end(const Block& block, int64_t row) {
  switch (block.part) {
    case Part::causal:
      return smaller(block.last, row + kTileRows);
    case Part::lower:
      return smaller(block.last, (row / kPanel + 1) * kPanel);
    default:
      return block.last;
  }
}

/// The first row of the block, counted from row0, that sees the tile of columns from `col` on and is not its mirror image.
AOT_INLINE int64_t rows_begin(const Block& block, int64_t col) {
  switch (block.part) {
    case Part::causal:
      return larger(0, col - block.row0);
    case Part::lower:
      return larger(0, (col / kPanel + 1) * kPanel - block.row0);
    default:
      return 0;
  }
}

/// One behind the last column that any row of the block sees.
AOT_INLINE int64_t columns_end(const Block& block) {
  return columns_end(block, block.row0 + block.rows - kTileRows);
}

/// out_i += sum_j tile_ij right_j. `out` and `right` are rows of the whole head.
inline void add_rows(const Block& block, const float* tile, const float* right, int64_t stride, float* out) {
  for (int64_t i = 0; i < block.rows; i += kTileRows) {
    const int64_t depth = columns_end(block, block.row0 + i) - block.first;
    if (depth > 0)
      add_product<kTileRows>(out + (block.row0 + i) * stride, {tile + i * kBlockCols, kBlockCols, 1}, right + block.first * stride, stride,
                             depth, stride);
  }
}

struct Factor {
  const float* tile;
  const float* rows;  // of the whole head
};

template <int C, int N>
AOT_INLINE void add_column_tile(const Block& block, const Factor (&factors)[N], int64_t stride, int64_t j, int64_t i, int64_t at,
                                float* out) {
  Vec acc[kTileRows][C];
  clear(acc);
  for (const Factor& factor : factors) {
    const float* right[C];
    for (int c = 0; c < C; ++c) right[c] = factor.rows + (block.row0 + i) * stride + at + c * kLanes;
    multiply<kTileRows, C>(acc, {factor.tile + i * kBlockCols + j, 1, kBlockCols}, right, stride, block.rows - i);
  }
  add_to(out + (block.first + j) * stride + at, stride, acc);
}

/// out_j += sum_i tile_ij rows_i, summed over the factors.
template <int N>
void add_columns(const Block& block, const Factor (&factors)[N], int64_t stride, float* out) {
  const int64_t end = columns_end(block) - block.first;
  for (int64_t j = 0; j < end; j += kTileRows) {
    const int64_t i = rows_begin(block, block.first + j);
    if (i >= block.rows) continue;
    int64_t at = 0;
    for (; at + kTileCols <= stride; at += kTileCols) add_column_tile<2>(block, factors, stride, j, i, at, out);
    if (at < stride) add_column_tile<1>(block, factors, stride, j, i, at, out);
  }
}

/// What of a tile's weights is to be 0.
struct TileMask {
  bool diagonal;  // columns behind the row's own
  bool partly;    // columns that nobody reads
};
template <int C>
AOT_INLINE TileMask tile_mask(const MssaParams& p, const HeadBase& head, int64_t row, int64_t col) {
  return {.diagonal = p.causal && col + C * kLanes > row + 1, .partly = head.masked || (!p.causal && col + C * kLanes > head.tokens)};
}

/// 2^(factor score - shift) of a row with a vector of columns.
AOT_INLINE Vec weigh(Vec score, Vec factor, Vec shift, TileMask mask, const HeadBase& head, int64_t row, int64_t col) {
  Vec x = fms(score, factor, shift);
  if (mask.partly) x = x + load(head.bias + col);
  const Vec weight = exp2(x);
  return mask.diagonal ? keep_first(weight, row + 1 - col) : weight;
}

/// Calls body(row, col, C) for tiles of R rows that cover what the block's rows see.
template <int R, class Body>
AOT_INLINE void for_each_tile(const Block& block, const Body& body) {
  for (int64_t row = block.row0; row < block.row0 + block.rows; row += R) {
    // Whole tiles of rows see the same columns, so that products may read them together.
    const int64_t end = columns_end(block, block.row0 + (row - block.row0) / kTileRows * kTileRows);
    int64_t col = block.first;
    for (; col + kLanes < end; col += kTileCols) body.template operator()<2>(row, col);
    if (col < end) body.template operator()<1>(row, col);
  }
}

/// Calls body(block) for the blocks of rows begin .. end - 1.
template <class Body>
AOT_INLINE void for_each_block(Part part, const HeadBase& head, RowRange range, const Body& body) {
  for (int64_t row0 = range.begin; row0 < range.end; row0 += kRowBlock) {
    // Up to a whole tile of rows: those behind the tokens are zeros and add nothing.
    Block block{.part = part, .row0 = row0, .rows = smaller(kRowBlock, round_up(range.end - row0, kTileRows))};
    block.last = part == Part::all ? head.tokens : smaller(head.tokens, row0 + block.rows);
    const int64_t columns = block.last;
    for (block.first = 0; block.first < columns; block.first += kBlockCols) {
      block.last = smaller(block.first + kBlockCols, columns);
      body(block);
    }
  }
}

AOT_INLINE float* take_zeros(Scratch& scratch, int64_t floats) {
  float* out = scratch.take(floats);
  for (int64_t i = 0; i < floats; i += kLanes) store(out + i, zero());
  return out;
}

}  // namespace
}  // namespace aot
