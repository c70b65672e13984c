// SPDX-License-Identifier: Apache-2.0
// The symmetric kernel (mssa_symmetric.h) in bfloat16. A tile is rounded twice anyway, as rows and as columns, so each time it is the
// attention weight of that side that is rounded, and the tokens stay what they are:
//   out_i = sum_j (E_ij g_j) w_j / l_i, with P_ij = E_ij g_j / l_i:
//   G_ij = P_ij (scale dO_i . w_j - D_i) + P_ji (scale w_i . dO_j - D_j),     D_i = scale dO_i . out_i
//   dw_i = sum_j G_ij w_j + P_ji dO_j
#pragma once

#include "aot/kernels/cpu/isa/mssa_dots.h"
#include "aot/kernels/cpu/isa/mssa_symmetric.h"

#if defined(__AVX512BF16__)

namespace aot {
namespace {

struct SymmetricDotSums {
  uint16_t* rows;     // (kRowBlock, kBlockCols): E_ij g_j
  uint16_t* columns;  // [kRowBlock / 2][kBlockCols][2]: E_ij g_i
  // l, and after it the sum of the rounded weights:
  float* of_rows;     // (2, padded, kLanes): from the row's own side, lane by lane
  float* of_columns;  // (2, padded): from the mirror image
};

template <int C>
AOT_INLINE void weigh_symmetric_tile(const MssaParams& p, const DotHead& head, const Symmetry& s, const SymmetricDotSums& sums,
                                     const Block& block, int64_t row, int64_t col) {
  Vec e[kTileRows][C];
  tile_scores(e, head, row, col);
  const Vec factor = set1(p.scale * kLog2E);
  const int64_t i = row - block.row0, j = col - block.first;
#pragma GCC unroll 8
  for (int r = 0; r < kTileRows; ++r) {
    const Vec half_of_row = set1(s.half[row + r]), g_of_row = set1(s.g[row + r]);
    Vec of_row[2] = {zero(), zero()};
    for (int c = 0; c < C; ++c) {
      const Vec weight = exp2(fms(e[r][c], factor, half_of_row + load(s.half + col + c * kLanes)));
      of_row[c] = weight * load(s.g + col + c * kLanes);
      e[r][c] = weight * g_of_row;
    }
    const Pairs pairs = to_pairs(of_row[0], of_row[1]);
    store(sums.rows + (i + r) * kBlockCols + j, pairs);
    float *const sum_of_row = sums.of_rows + (row + r) * kLanes, *const held = sum_of_row + head.padded * kLanes;
    store(sum_of_row, load(sum_of_row) + (of_row[0] + of_row[1]));
    store(held, add_pairs(load(held), pairs));
  }
  for (int c = 0; c < C; ++c) {
    float* at = sums.of_columns + col + c * kLanes;
    Vec column_sum = zero(), held = zero();
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; r += 2) {
      const Pairs pairs = to_pairs_of_lanes(e[r][c], e[r + 1][c]);
      store(sums.columns + (i + r) * kBlockCols + 2 * (j + c * kLanes), pairs);
      column_sum = column_sum + (e[r][c] + e[r + 1][c]);
      held = add_pairs(held, pairs);
    }
    if (turned_over(row, col + c * kLanes)) {
      store(at, load(at) + column_sum);
      store(at + head.padded, load(at + head.padded) + held);
    }
  }
}

inline void symmetric_forward(const MssaParams& p, int64_t b, int64_t k, const DotHead& head, Scratch& scratch) {
  const Symmetry s = make_symmetry(head, scratch);
  float* out = take_zeros(scratch, head.padded * head.stride);
  const SymmetricDotSums sums{.rows = take_half(scratch, kRowBlock * kBlockCols),
                              .columns = take_half(scratch, kRowBlock * kBlockCols),
                              .of_rows = take_zeros(scratch, 2 * head.padded * kLanes),
                              .of_columns = take_zeros(scratch, 2 * head.padded)};
  for_each_block(Part::lower, head, {0, head.tokens}, [&](const Block& block) {
    for_each_tile<kTileRows>(block, [&]<int C>(int64_t row, int64_t col) { weigh_symmetric_tile<C>(p, head, s, sums, block, row, col); });
    add_rows<1>(block, {{sums.rows, head.w.pairs}}, head, out);
    add_columns<1>(block, {{sums.columns, head.w.pairs}}, head, out);
  });
  float *const statistics = p.statistics + (b * p.heads + k) * 2 * p.tokens, *const factors = scratch.take(head.padded);
  for (int64_t t = 0; t < head.tokens; ++t) statistics[t] = s.half[t];
  invert_sums(head, sums.of_rows, sums.of_columns, statistics + p.tokens);
  invert_sums(head, sums.of_rows + head.padded * kLanes, sums.of_columns + head.padded, factors);
  copy_out(p, out, factors, head.stride, 0, head.tokens, p.out, b, k);
}

/// What the passes back need for each token.
struct DotGradient {
  DotTokens d_out;
  const float* shift;    // (padded): m log2 e
  const float* inverse;  // (padded): 1 / l, and 0 behind the tokens
  const float* dot;      // (padded): D = scale dO . out
};

struct SymmetricDotTiles {
  uint16_t *score_rows, *score_columns;    // G
  uint16_t *weight_rows, *weight_columns;  // P_ji and P_ij
};

/// The three products of a tile in one pass; without positions one load serves two of them.
template <bool kTurned, int C>
AOT_INLINE void symmetric_products(const DotHead& head, const DotGradient& g, int64_t row, int64_t col, SymmetricTile<C>& tile) {
  const LeftPairs turned_rows = left_rows(head, head.turned, row), d_rows = left_rows(head, g.d_out, row);
  const LeftPairs value_rows = left_rows(head, head.w, row);
  clear(tile.scores);
  clear(tile.d_rows);
  clear(tile.d_columns);
#pragma GCC unroll 2
  for (int64_t i = 0; i < head.dim; i += 2) {
    __m512bh turned[C], values[C], d[C];
    for (int c = 0; c < C; ++c) {
      const int64_t at = panel_offset(head, col + c * kLanes) + i * kPanel;
      turned[c] = load_pairs(head.turned.panels + at);
      values[c] = kTurned ? load_pairs(head.w.panels + at) : turned[c];
      d[c] = load_pairs(g.d_out.panels + at);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kPairRows; ++r) {
      const __m512bh turned_row = set1_pair(turned_rows.data + 2 * r + i * kPanel), d_row = set1_pair(d_rows.data + 2 * r + i * kPanel);
      const __m512bh value_row = kTurned ? set1_pair(value_rows.data + 2 * r + i * kPanel) : turned_row;
      for (int c = 0; c < C; ++c) {
        tile.scores[r][c].v = _mm512_dpbf16_ps(tile.scores[r][c].v, turned_row, turned[c]);
        tile.d_rows[r][c].v = _mm512_dpbf16_ps(tile.d_rows[r][c].v, d_row, values[c]);
        tile.d_columns[r][c].v = _mm512_dpbf16_ps(tile.d_columns[r][c].v, value_row, d[c]);
      }
    }
  }
}

template <bool kTurned, int C>
AOT_INLINE void differentiate_symmetric_tile(const MssaParams& p, const DotHead& head, const Symmetry& s, const DotGradient& g,
                                             const SymmetricDotTiles& tiles, const Block& block, int64_t row, int64_t col) {
  SymmetricTile<C> tile;
  symmetric_products<kTurned, C>(head, g, row, col, tile);
  const Vec factor = set1(p.scale * kLog2E), scale = set1(p.scale);
#pragma GCC unroll 8
  for (int r = 0; r < kPairRows; ++r) {
    const Vec half = set1(s.half[row + r]), g_of_row = set1(s.g[row + r]), inverse = set1(g.inverse[row + r]), dot = set1(g.dot[row + r]);
    for (int c = 0; c < C; ++c) {
      const int64_t column = col + c * kLanes;
      const Vec e = exp2(fms(tile.scores[r][c], factor, half + load(s.half + column)));
      const Vec of_row = e * load(s.g + column) * inverse, of_column = e * g_of_row * load(g.inverse + column);
      tile.scores[r][c] =
          fma(of_row, fms(tile.d_rows[r][c], scale, dot), of_column * fms(tile.d_columns[r][c], scale, load(g.dot + column)));
      tile.d_rows[r][c] = of_row;
      tile.d_columns[r][c] = of_column;
    }
  }
  const int64_t i = row - block.row0, j = col - block.first;
  store_rows(tile.scores, i, j, tiles.score_rows);
  store_columns(tile.scores, i, j, tiles.score_columns);
  store_rows(tile.d_columns, i, j, tiles.weight_rows);
  store_columns(tile.d_rows, i, j, tiles.weight_columns);
}

/// dw of the head, (padded, stride), in scratch memory.
inline float* symmetric_backward(const MssaParams& p, const DotHead& head, const DotGradient& g, Scratch& scratch) {
  const Symmetry s = make_symmetry(head, scratch);
  const int64_t size = kRowBlock * kBlockCols;
  const SymmetricDotTiles tiles{.score_rows = take_half(scratch, size),
                                .score_columns = take_half(scratch, size),
                                .weight_rows = take_half(scratch, size),
                                .weight_columns = take_half(scratch, size)};
  float *dw = take_zeros(scratch, head.padded * head.stride), *d_turned = dw;
  if (p.cos != nullptr) d_turned = take_zeros(scratch, head.padded * head.stride);
  for_each_block(Part::lower, head, {0, head.tokens}, [&](const Block& block) {
    if (p.cos == nullptr) {
      for_each_tile<kPairRows>(
          block, [&]<int C>(int64_t row, int64_t col) { differentiate_symmetric_tile<false, C>(p, head, s, g, tiles, block, row, col); });
      add_rows<2>(block, {{tiles.score_rows, head.w.pairs}, {tiles.weight_rows, g.d_out.pairs}}, head, dw);
      add_columns<2>(block, {{tiles.score_columns, head.w.pairs}, {tiles.weight_columns, g.d_out.pairs}}, head, dw);
    } else {
      for_each_tile<kPairRows>(
          block, [&]<int C>(int64_t row, int64_t col) { differentiate_symmetric_tile<true, C>(p, head, s, g, tiles, block, row, col); });
      add_rows<1>(block, {{tiles.score_rows, head.turned.pairs}}, head, d_turned);
      add_rows<1>(block, {{tiles.weight_rows, g.d_out.pairs}}, head, dw);
      add_columns<1>(block, {{tiles.score_columns, head.turned.pairs}}, head, d_turned);
      add_columns<1>(block, {{tiles.weight_columns, g.d_out.pairs}}, head, dw);
    }
  });
  if (p.cos != nullptr) add_turned_back(p, head, d_turned, dw);
  return dw;
}

}  // namespace
}  // namespace aot

#endif
