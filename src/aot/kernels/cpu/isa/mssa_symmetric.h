// SPDX-License-Identifier: Apache-2.0
// Without causality the scores are symmetric, and so is E_ij = exp(s_ij - (n_i + n_j) / 2) = exp(-scale |w_i - w_j|^2 / 2), n_i = s_ii: in
// (0, 1], and 1 on the diagonal. With g_j = exp(n_j / 2 - c), c the largest n / 2 of the head, and g_j = 0 for keys that nobody reads,
//   l_i = sum_j E_ij g_j        out_i = sum_j E_ij (g_j w_j) / l_i
//   d_i = dO_i / l_i            D_i = d_i . out_i
//   G_ij = scale E_ij (g_j (d_i . w_j - D_i) + g_i (w_i . d_j - D_j))        (symmetric, and dS_ij + dS_ji)
//   dw_i = sum_j G_ij w_j + g_i sum_j E_ij d_j
// so every tile below the diagonal serves its rows and, turned over, its columns: 3 products of tiles instead of 4, 7 instead of 10, and
// half the exponentials. Under rotary positions E and the sum of G belong to the turned tokens, all else to the others.
#pragma once

#include "aot/kernels/cpu/isa/mssa_blocks.h"

namespace aot {
namespace {

/// Numbers that the passes need for each token of the head, behind the tokens g = 0.
struct Symmetry {
  float* half;  // (padded): n / 2 log2 e
  float* g;     // (padded)
};

/// Whether no E_ij that matters can be lost: g_i >= e^(-guard), and what is lost below e^-87 is under e^(guard - 87) of a sum. Where keys
/// are masked a token's own E_ii = 1 may not count, and E_ij >= exp(-2 max n) must do.
AOT_INLINE bool symmetry_fits(const MssaParams& p, const HeadBase& head) {
  if (p.causal) return false;
  float least = kInfinity, most = 0;
  for (int64_t t = 0; t < head.tokens; ++t) {
    least = head.norm[t] < least ? head.norm[t] : least;
    most = head.norm[t] > most ? head.norm[t] : most;
  }
  return head.masked ? 2 * most <= p.guard : (most - least) / 2 <= p.guard;
}

inline Symmetry make_symmetry(const HeadBase& head, Scratch& scratch) {
  const Symmetry s{.half = scratch.take(head.padded), .g = scratch.take(head.padded)};
  float most = 0;
  for (int64_t t = 0; t < head.padded; ++t) {
    s.half[t] = 0.5F * kLog2E * head.norm[t];
    most = s.half[t] > most ? s.half[t] : most;
  }
  for (int64_t t = 0; t < head.padded; t += kLanes) store(s.g + t, exp2(load(s.half + t) - set1(most) + load(head.bias + t)));
  return s;
}

/// Whether the vector of columns at `col` is below the diagonal panels of its rows, so that it is also read turned over.
AOT_INLINE bool turned_over(int64_t row, int64_t col) {
  return col < row / kPanel * kPanel;
}

struct SymmetricSums {
  float* tile;        // (kRowBlock, kBlockCols): E
  float* of_rows;     // (padded, kLanes): l from the row's own side, lane by lane
  float* of_columns;  // (padded): l from the mirror image
};

template <int C>
AOT_INLINE void weigh_symmetric_tile(const MssaParams& p, const Head& head, const Symmetry& s, const SymmetricSums& sums,
                                     const Block& block, int64_t row, int64_t col) {
  Vec acc[kTileRows][C];
  tile_scores(acc, head, row, col);
  const Vec factor = set1(p.scale * kLog2E);
  Vec half[C], g[C], column_sum[C];
  for (int c = 0; c < C; ++c) {
    half[c] = load(s.half + col + c * kLanes);
    g[c] = load(s.g + col + c * kLanes);
    column_sum[c] = zero();
  }
  for (int r = 0; r < kTileRows; ++r) {
    const Vec half_of_row = set1(s.half[row + r]), g_of_row = set1(s.g[row + r]);
    float* at = sums.tile + (row + r - block.row0) * kBlockCols + col - block.first;
    Vec row_sum = load(sums.of_rows + (row + r) * kLanes);
    for (int c = 0; c < C; ++c) {
      const Vec e = exp2(fms(acc[r][c], factor, half_of_row + half[c]));
      store(at + c * kLanes, e);
      row_sum = fma(e, g[c], row_sum);
      column_sum[c] = fma(e, g_of_row, column_sum[c]);
    }
    store(sums.of_rows + (row + r) * kLanes, row_sum);
  }
  for (int c = 0; c < C; ++c) {
    float* at = sums.of_columns + col + c * kLanes;
    if (turned_over(row, col + c * kLanes)) store(at, load(at) + column_sum[c]);
  }
}

/// 1 / the sums of the head's tokens.
inline void invert_sums(const HeadBase& head, const float* of_rows, const float* of_columns, float* inverse) {
  for (int64_t t = 0; t < head.tokens; ++t) inverse[t] = inverse_or_zero(sum(load(of_rows + t * kLanes)) + of_columns[t]);
}

inline void symmetric_forward(const MssaParams& p, int64_t b, int64_t k, const Head& head, Scratch& scratch) {
  const Symmetry s = make_symmetry(head, scratch);
  const int64_t numbers = head.padded * head.stride;
  float *values = scratch.take(numbers), *out = take_zeros(scratch, numbers);
  for (int64_t t = 0; t < head.padded; ++t)
    for (int64_t i = t * head.stride; i < (t + 1) * head.stride; i += kLanes) store(values + i, load(head.rows + i) * set1(s.g[t]));
  const SymmetricSums sums{.tile = scratch.take(kRowBlock * kBlockCols),
                           .of_rows = take_zeros(scratch, head.padded * kLanes),
                           .of_columns = take_zeros(scratch, head.padded)};
  for_each_block(Part::lower, head, {0, head.tokens}, [&](const Block& block) {
    for_each_tile<kTileRows>(block, [&]<int C>(int64_t row, int64_t col) { weigh_symmetric_tile<C>(p, head, s, sums, block, row, col); });
    add_rows(block, sums.tile, values, head.stride, out);
    add_columns<1>(block, {{sums.tile, values}}, head.stride, out);
  });
  float* statistics = p.statistics + (b * p.heads + k) * 2 * p.tokens;
  for (int64_t t = 0; t < head.tokens; ++t) statistics[t] = s.half[t];
  invert_sums(head, sums.of_rows, sums.of_columns, statistics + p.tokens);
  copy_out(p, out, statistics + p.tokens, head.stride, 0, head.tokens, p.out, b, k);
}

struct SymmetricGradient {
  const float* d;  // (padded, stride)
  const float* d_panels;
  const float* values;  // panels of the unturned tokens
  const float* dot;     // (padded): scale D
  float* weights;       // (kRowBlock, kBlockCols): E
  float* d_scores;      // (kRowBlock, kBlockCols): G
};

/// Where a tile's three products find their operands: turned . turned, d_i . w_j and w_i . d_j.
template <int C>
struct SymmetricOperands {
  const float *turned_row, *d_row, *value_row;
  const float *turned[C], *values[C], *d[C];
};

template <int C>
struct SymmetricTile {
  Vec scores[kPairRows][C], d_rows[kPairRows][C], d_columns[kPairRows][C];
};

/// The sums over numbers first .. last - 1, in one pass. Tokens that are not turned are loaded once for two products: the registers are
/// few.
template <bool kTurned, int C>
AOT_INLINE void three_products(const SymmetricOperands<C>& from, int64_t stride, int64_t first, int64_t last, SymmetricTile<C>& tile) {
  clear(tile.scores);
  clear(tile.d_rows);
  clear(tile.d_columns);
#pragma GCC unroll 2
  for (int64_t i = first; i < last; ++i) {
    Vec turned[C], values[C], d[C];
    for (int c = 0; c < C; ++c) {
      turned[c] = load(from.turned[c] + i * kPanel);
      values[c] = kTurned ? load(from.values[c] + i * kPanel) : turned[c];
      d[c] = load(from.d[c] + i * kPanel);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kPairRows; ++r) {
      const Vec turned_row = set1(from.turned_row[r * stride + i]), d_row = set1(from.d_row[r * stride + i]);
      const Vec value_row = kTurned ? set1(from.value_row[r * stride + i]) : turned_row;
      for (int c = 0; c < C; ++c) {
        tile.scores[r][c] = fma(turned_row, turned[c], tile.scores[r][c]);
        tile.d_rows[r][c] = fma(d_row, values[c], tile.d_rows[r][c]);
        tile.d_columns[r][c] = fma(value_row, d[c], tile.d_columns[r][c]);
      }
    }
  }
}

template <bool kTurned, int C>
AOT_INLINE void symmetric_products(const Head& head, const SymmetricGradient& g, int64_t row, int64_t col, SymmetricTile<C>& tile) {
  const int64_t at = row * head.stride;
  SymmetricOperands<C> from{.turned_row = head.turned + at, .d_row = g.d + at, .value_row = head.rows + at};
  for (int c = 0; c < C; ++c) {
    from.turned[c] = panel_column(head.panels, head.dim, col + c * kLanes);
    from.values[c] = panel_column(g.values, head.dim, col + c * kLanes);
    from.d[c] = panel_column(g.d_panels, head.dim, col + c * kLanes);
  }
  three_products<kTurned, C>(from, head.stride, 0, smaller(kShortSum, head.dim), tile);
  for (int64_t i = kShortSum; i < head.dim; i += kShortSum) {
    SymmetricTile<C> more;
    three_products<kTurned, C>(from, head.stride, i, smaller(i + kShortSum, head.dim), more);
    add(tile.scores, more.scores);
    add(tile.d_rows, more.d_rows);
    add(tile.d_columns, more.d_columns);
  }
}

template <bool kTurned, int C>
AOT_INLINE void differentiate_symmetric_tile(const MssaParams& p, const Head& head, const Symmetry& s, const SymmetricGradient& g,
                                             const Block& block, int64_t row, int64_t col) {
  SymmetricTile<C> tile;
  symmetric_products<kTurned, C>(head, g, row, col, tile);
  const Vec factor = set1(p.scale * kLog2E), scale = set1(p.scale);
  for (int r = 0; r < kPairRows; ++r) {
    const Vec half = set1(s.half[row + r]), g_of_row = set1(s.g[row + r]), dot = set1(g.dot[row + r]);
    const int64_t at = (row + r - block.row0) * kBlockCols + col - block.first;
    for (int c = 0; c < C; ++c) {
      const int64_t column = col + c * kLanes;
      const Vec e = exp2(fms(tile.scores[r][c], factor, half + load(s.half + column)));
      const Vec of_row = load(s.g + column) * fms(tile.d_rows[r][c], scale, dot);
      const Vec of_column = g_of_row * fms(tile.d_columns[r][c], scale, load(g.dot + column));
      store(g.weights + at + c * kLanes, e);
      store(g.d_scores + at + c * kLanes, e * (of_row + of_column));
    }
  }
}

/// dw of the head, (padded, stride), in scratch memory.
inline float* symmetric_backward(const MssaParams& p, const Head& head, const float* d, const float* dot, Scratch& scratch) {
  const Symmetry s = make_symmetry(head, scratch);
  const int64_t numbers = head.padded * head.stride;
  float* d_panels = scratch.take(head.padded * head.dim);
  pack_panels(d, head.stride, head.padded, head.dim, d_panels);
  SymmetricGradient g{.d = d, .d_panels = d_panels, .values = head.panels, .dot = dot};
  if (p.cos != nullptr) {
    float* values = scratch.take(head.padded * head.dim);
    pack_panels(head.rows, head.stride, head.padded, head.dim, values);
    g.values = values;
  }
  g.weights = scratch.take(kRowBlock * kBlockCols);
  g.d_scores = scratch.take(kRowBlock * kBlockCols);
  float *d_turned = take_zeros(scratch, numbers), *d_values = take_zeros(scratch, numbers);
  for_each_block(Part::lower, head, {0, head.tokens}, [&](const Block& block) {
    if (p.cos != nullptr)
      for_each_tile<kPairRows>(
          block, [&]<int C>(int64_t row, int64_t col) { differentiate_symmetric_tile<true, C>(p, head, s, g, block, row, col); });
    else
      for_each_tile<kPairRows>(
          block, [&]<int C>(int64_t row, int64_t col) { differentiate_symmetric_tile<false, C>(p, head, s, g, block, row, col); });
    add_rows(block, g.d_scores, head.turned, head.stride, d_turned);
    add_rows(block, g.weights, d, head.stride, d_values);
    add_columns<1>(block, {{g.d_scores, head.turned}}, head.stride, d_turned);
    add_columns<1>(block, {{g.weights, d}}, head.stride, d_values);
  });
  for (int64_t t = 0; p.cos != nullptr && t < head.tokens; ++t)
    turn_token(p, t, d_turned + t * head.stride, true, d_turned + t * head.stride);
  for (int64_t t = 0; t < head.tokens; ++t)
    for (int64_t i = t * head.stride; i < (t + 1) * head.stride; i += kLanes)
      store(d_turned + i, fma(load(d_values + i), set1(s.g[t]), load(d_turned + i)));
  return d_turned;
}

}  // namespace
}  // namespace aot
