// SPDX-License-Identifier: Apache-2.0
// The forward pass row by row: causal, and without mask when the symmetric kernel (mssa_symmetric.h) may not be used.
#include "aot/kernels/cpu/isa/mssa_symmetric_dots.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

constexpr int64_t kColBlock = 128;  // columns of weights held at once: 32 x 128 floats beside 32 x P outputs in the first-level cache

template <class Number>
struct Rows {
  int64_t begin, count;  // of this block
  float* stabiliser;     // (32) in powers of 2, not below any score of the row
  Number* weights;       // (32, kColBlock)
  float* out;            // (32, stride)
  float* sums;           // (32, kLanes) of the weights, lane by lane
  float* held_sums;      // (32, kLanes) of the weights as `weights` holds them; `sums` itself where nothing is rounded
  float* factors;        // (32) by which `out` becomes the result
};

/// The rows' part of the matrix, in whole tiles of rows.
template <class Number>
AOT_INLINE Block block_of(const MssaParams& p, const Rows<Number>& rows) {
  return {.part = p.causal ? Part::causal : Part::all,
          .row0 = rows.begin,
          .rows = round_up(rows.count, kTileRows),
          .first = 0,
          .last = p.tokens};
}

/// Weights 2^(s - stabiliser) of one tile, and their sums.
template <int C>
AOT_INLINE void weigh_tile(const MssaParams& p, const Head& head, const Rows<float>& rows, int64_t first, int64_t row, int64_t col) {
  Vec acc[kTileRows][C];
  tile_scores(acc, head, row, col);
  const Vec factor = set1(p.scale * kLog2E);
  const int64_t at = row - rows.begin;
  const TileMask mask = tile_mask<C>(p, head, row, col);
  for (int r = 0; r < kTileRows; ++r) {
    const Vec shift = set1(rows.stabiliser[at + r]);
    Vec sum_of_row = load(rows.sums + (at + r) * kLanes);
    for (int c = 0; c < C; ++c) {
      const Vec weight = weigh(acc[r][c], factor, shift, mask, head, row + r, col + c * kLanes);
      store(rows.weights + (at + r) * kColBlock + col - first + c * kLanes, weight);
      sum_of_row = sum_of_row + weight;
    }
    store(rows.sums + (at + r) * kLanes, sum_of_row);
  }
}

/// rows.out += the weights of the block's columns with their tokens.
AOT_INLINE void add_values(const Head& head, const Rows<float>& rows, const Block& block) {
  for (int64_t i = 0; i < block.rows; i += kTileRows) {
    const int64_t depth = columns_end(block, block.row0 + i) - block.first;
    if (depth > 0)
      add_product<kTileRows>(rows.out + i * head.stride, {rows.weights + i * kColBlock, kColBlock, 1},
                             head.rows + block.first * head.stride, head.stride, depth, head.stride);
  }
}

#if defined(__AVX512BF16__)

/// Rounded weights are shares of their own sum: a row that reads one token is that token. The derivative takes the other sum.
template <int C>
AOT_INLINE void weigh_tile(const MssaParams& p, const DotHead& head, const Rows<uint16_t>& rows, int64_t first, int64_t row, int64_t col) {
  Vec acc[kTileRows][C];
  tile_scores(acc, head, row, col);
  const Vec factor = set1(p.scale * kLog2E);
  const int64_t at = row - rows.begin;
  with_weights<C>(p, head, row, col, [&](const auto& weight_of) {
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) {
      const Vec shift = set1(rows.stabiliser[at + r]);
      for (int c = 0; c < C; ++c) acc[r][c] = weight_of(acc[r][c], factor, shift, row + r, col + c * kLanes);
      const Pairs weights = to_pairs(acc[r][0], C == 2 ? acc[r][C - 1] : zero());
      store(rows.weights + (at + r) * kColBlock + col - first, weights);
      float *const sum_of_row = rows.sums + (at + r) * kLanes, *const held = rows.held_sums + (at + r) * kLanes;
      store(sum_of_row, load(sum_of_row) + (C == 2 ? acc[r][0] + acc[r][C - 1] : acc[r][0]));
      store(held, add_pairs(load(held), weights));
    }
  });
}

AOT_INLINE void add_values(const DotHead& head, const Rows<uint16_t>& rows, const Block& block) {
  for (int64_t i = 0; i < block.rows; i += kTileRows) {
    const int64_t depth = columns_end(block, block.row0 + i) - block.first;
    if (depth > 0)
      add_product<kColBlock, 2, 1>(rows.out + i * head.stride, head, {{rows.weights, head.w.pairs}}, i * kColBlock, block.first, depth);
  }
}

#endif

/// The norms alone bound the scores: s_ij <= sqrt(n_i n_j). False if some row's own weight could be too small under that bound.
template <class Number>
bool stabilise_by_norms(const MssaParams& p, const HeadBase& head, const float* largest_norm, const Rows<Number>& rows) {
  bool fits = true;
  for (int64_t i = 0; i < rows.count; ++i) {
    const float own = __builtin_sqrtf(head.norm[rows.begin + i]), bound = __builtin_sqrtf(largest_norm[rows.begin + i]);
    rows.stabiliser[i] = own * bound * kLog2E;
    // Its own term is there unless keys are masked; then nothing better is known than s >= -own * bound.
    const float gap = head.masked ? 2 * own * bound : own * (bound - own);
    fits = fits && gap <= p.guard;
  }
  return fits;
}

/// The exact maximum of every row, from a pass over the scores of its own.
template <class AnyHead>
void stabilise_by_maximum(const MssaParams& p, const AnyHead& head, const Rows<typename AnyHead::Number>& rows) {
  for (int64_t i = 0; i < kRowBlock * kLanes; i += kLanes) store(rows.sums + i, set1(-kInfinity));
  for_each_tile<kTileRows>(block_of(p, rows), [&]<int C>(int64_t row, int64_t col) {
    Vec acc[kTileRows][C];
    tile_scores(acc, head, row, col);
    const bool diagonal = p.causal && col + C * kLanes > row + 1;
    for (int r = 0; r < kTileRows; ++r) {
      float* most = rows.sums + (row - rows.begin + r) * kLanes;
      for (int c = 0; c < C; ++c) {
        Vec score = acc[r][c] * set1(p.scale * kLog2E) + load(head.bias + col + c * kLanes);
        if (diagonal) {
          float lanes[kLanes];
          store(lanes, score);
          for (int64_t i = larger(row + r + 1 - (col + c * kLanes), 0); i < kLanes; ++i) lanes[i] = -kInfinity;
          score = load(lanes);
        }
        store(most, max(load(most), score));
      }
    }
  });
  for (int64_t i = 0; i < rows.count; ++i) {
    const float most = largest(load(rows.sums + i * kLanes));
    rows.stabiliser[i] = most == -kInfinity ? 0 : most;
  }
}

/// The outputs of one block of rows, in rows.out and yet to be divided by the sums, and their statistics.
template <class AnyHead>
void attend(const MssaParams& p, const AnyHead& head, const Rows<typename AnyHead::Number>& rows, float* statistics) {
  for (int64_t i = 0; i < kRowBlock * kLanes; i += kLanes) store(rows.sums + i, zero());
  for (int64_t i = 0; i < kRowBlock * kLanes; i += kLanes) store(rows.held_sums + i, zero());
  for (int64_t i = 0; i < kRowBlock * head.stride; i += kLanes) store(rows.out + i, zero());
  Block block = block_of(p, rows);
  const int64_t columns = columns_end(block);
  for (int64_t first = 0; first < columns; first += kColBlock) {
    block.first = first;
    block.last = smaller(first + kColBlock, columns);
    for_each_tile<kTileRows>(block, [&]<int C>(int64_t row, int64_t col) { weigh_tile<C>(p, head, rows, first, row, col); });
    add_values(head, rows, block);
  }
  for (int64_t i = 0; i < rows.count; ++i) {
    statistics[rows.begin + i] = rows.stabiliser[i];
    statistics[p.tokens + rows.begin + i] = inverse_or_zero(sum(load(rows.sums + i * kLanes)));
    rows.factors[i] = inverse_or_zero(sum(load(rows.held_sums + i * kLanes)));
  }
}

template <class AnyHead>
void forward_head(const MssaParams& p, int64_t task, int64_t parts, const AnyHead& head, Scratch& scratch) {
  using Number = typename AnyHead::Number;
  const int64_t b = task / parts / p.heads, k = task / parts % p.heads;
  const RowRange range = part_rows(p, task % parts, parts);
  if (!head.finite) p.notices[task] |= kMssaNonFinite;
  if (parts == 1 && symmetry_fits(p, head)) return symmetric_forward(p, b, k, head, scratch);
  if (parts == 1 && !p.causal) p.notices[task] |= kMssaFallback;
  float* largest_norm = scratch.take(head.padded);  // that the row may read
  Rows<Number> rows{.stabiliser = scratch.take(kRowBlock),
                    .weights = reinterpret_cast<Number*>(scratch.take(kRowBlock * kColBlock)),
                    .out = scratch.take(kRowBlock * head.stride),
                    .sums = scratch.take(kRowBlock * kLanes),
                    .factors = scratch.take(kRowBlock)};
  rows.held_sums = sizeof(Number) == sizeof(float) ? rows.sums : scratch.take(kRowBlock * kLanes);
  float most = 0;
  for (int64_t t = 0; t < head.tokens; ++t) largest_norm[t] = most = most < head.norm[t] ? head.norm[t] : most;
  for (int64_t t = 0; t < head.tokens && !p.causal; ++t) largest_norm[t] = most;

  float* statistics = p.statistics + (b * p.heads + k) * 2 * p.tokens;
  for (rows.begin = range.begin; rows.begin < range.end; rows.begin += kRowBlock) {
    rows.count = smaller(kRowBlock, range.end - rows.begin);
    // Rows of a tile beyond the block's end are computed and dropped: they need a harmless stabiliser.
    for (int64_t i = rows.count; i < kRowBlock; ++i) rows.stabiliser[i] = 0;
    if (!stabilise_by_norms(p, head, largest_norm, rows)) {
      p.notices[task] |= kMssaFallback;
      stabilise_by_maximum(p, head, rows);
    }
    attend(p, head, rows, statistics);
    copy_out(p, rows.out, rows.factors, head.stride, rows.begin, rows.count, p.out, b, k);
  }
}

void forward_task(const MssaParams& p, int64_t task, int64_t parts, float* memory) {
  const int64_t b = task / parts / p.heads, k = task / parts % p.heads;
  const RowRange range = part_rows(p, task % parts, parts);
  p.notices[task] = 0;
  if (range.begin == range.end) return;
  Scratch scratch(memory);
  const int64_t tokens = p.causal ? range.end : p.tokens;
#if defined(__AVX512BF16__)
  if (p.bfloat16) return forward_head(p, task, parts, pack_dot_head(p, b, k, tokens, false, scratch), scratch);
#endif
  forward_head(p, task, parts, pack_head(p, b, k, tokens, false, scratch), scratch);
}

}  // namespace

namespace AOT_ISA {

void mssa_forward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch) {
  for (int64_t task = begin; task < end; ++task) forward_task(params, task, parts, scratch);
}

}  // namespace AOT_ISA
}  // namespace aot
