// SPDX-License-Identifier: Apache-2.0
// The forward pass row by row: causal, and without mask when the symmetric kernel (mssa_symmetric.cpp) may not be used.
#include "aot/kernels/cpu/isa/mssa_symmetric.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

constexpr int64_t kColBlock = 128;  // columns of weights held at once: 32 x 128 floats beside 32 x P outputs in the first-level cache

struct Rows {
  int64_t begin, count;  // of this block
  float* stabiliser;     // (32) in powers of 2, not below any score of the row
  float* weights;        // (32, kColBlock)
  float* out;            // (32, stride)
  float* sums;           // (32, kLanes) of the weights, lane by lane
};

/// The rows' part of the matrix, in whole tiles of rows.
AOT_INLINE Block block_of(const MssaParams& p, const Rows& rows) {
  return {.part = p.causal ? Part::causal : Part::all,
          .row0 = rows.begin,
          .rows = round_up(rows.count, kTileRows),
          .first = 0,
          .last = p.tokens};
}

/// Weights 2^(s - stabiliser) of one tile, and their sums.
template <int C>
AOT_INLINE void weigh_tile(const MssaParams& p, const Head& head, const Rows& rows, int64_t first, int64_t row, int64_t col) {
  Vec acc[kTileRows][C];
  tile_scores(acc, head, row, col);
  const Vec factor = set1(p.scale * kLog2E);
  const int64_t at = row - rows.begin;
  const bool diagonal = p.causal && col + C * kLanes > row + 1;
  const bool partly = head.masked || (!p.causal && col + C * kLanes > head.tokens);
  for (int r = 0; r < kTileRows; ++r) {
    const Vec shift = set1(rows.stabiliser[at + r]);
    Vec sum_of_row = load(rows.sums + (at + r) * kLanes);
    for (int c = 0; c < C; ++c) {
      Vec x = fms(acc[r][c], factor, shift);
      if (partly) x = x + load(head.bias + col + c * kLanes);
      Vec weight = exp2(x);
      if (diagonal) weight = keep_first(weight, row + r + 1 - (col + c * kLanes));
      store(rows.weights + (at + r) * kColBlock + col - first + c * kLanes, weight);
      sum_of_row = sum_of_row + weight;
    }
    store(rows.sums + (at + r) * kLanes, sum_of_row);
  }
}

/// The norms alone bound the scores: s_ij <= sqrt(n_i n_j). False if some row's own weight could be too small under that bound.
bool stabilise_by_norms(const MssaParams& p, const Head& head, const float* largest_norm, const Rows& rows) {
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
void stabilise_by_maximum(const MssaParams& p, const Head& head, const Rows& rows) {
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
void attend(const MssaParams& p, const Head& head, const Rows& rows, float* statistics) {
  for (int64_t i = 0; i < kRowBlock * kLanes; i += kLanes) store(rows.sums + i, zero());
  for (int64_t i = 0; i < kRowBlock * head.stride; i += kLanes) store(rows.out + i, zero());
  Block block = block_of(p, rows);
  const int64_t columns = columns_end(block);
  for (int64_t first = 0; first < columns; first += kColBlock) {
    block.first = first;
    block.last = smaller(first + kColBlock, columns);
    for_each_tile<kTileRows>(block, [&]<int C>(int64_t row, int64_t col) { weigh_tile<C>(p, head, rows, first, row, col); });
    for (int64_t i = 0; i < block.rows; i += kTileRows) {
      const int64_t depth = columns_end(block, block.row0 + i) - first;
      if (depth > 0)
        add_product<kTileRows>(rows.out + i * head.stride, {rows.weights + i * kColBlock, kColBlock, 1}, head.rows + first * head.stride,
                               head.stride, depth, head.stride);
    }
  }
  for (int64_t i = 0; i < rows.count; ++i) {
    const float total = sum(load(rows.sums + i * kLanes));
    const float inverse = total == 0 ? 0 : 1 / total;
    statistics[rows.begin + i] = rows.stabiliser[i];
    statistics[p.tokens + rows.begin + i] = inverse;
  }
}

void forward_task(const MssaParams& p, int64_t task, int64_t parts, float* memory) {
  const int64_t b = task / parts / p.heads, k = task / parts % p.heads;
  const RowRange range = part_rows(p, task % parts, parts);
  p.notices[task] = 0;
  if (range.begin == range.end) return;
  Scratch scratch(memory);
  const Head head = pack_head(p, b, k, p.causal ? range.end : p.tokens, scratch);
  if (!head.finite) p.notices[task] |= kMssaNonFinite;
  if (parts == 1 && symmetry_fits(p, head)) return symmetric_forward(p, b, k, head, scratch);
  if (parts == 1 && !p.causal) p.notices[task] |= kMssaFallback;
  float* largest_norm = scratch.take(head.padded);  // that the row may read
  Rows rows{.stabiliser = scratch.take(kRowBlock),
            .weights = scratch.take(kRowBlock * kColBlock),
            .out = scratch.take(kRowBlock * head.stride),
            .sums = scratch.take(kRowBlock * kLanes)};
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
    copy_out(p, rows.out, statistics + p.tokens + rows.begin, head.stride, rows.begin, rows.count, p.out, b, k);
  }
}

}  // namespace

namespace AOT_ISA {

void mssa_forward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch) {
  for (int64_t task = begin; task < end; ++task) forward_task(params, task, parts, scratch);
}

}  // namespace AOT_ISA
}  // namespace aot
