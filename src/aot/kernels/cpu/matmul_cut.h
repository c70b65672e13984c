// SPDX-License-Identifier: Apache-2.0
// How a matrix product is cut into steps, blocks and tasks: by its shape alone, so that no sum depends on the number of threads.
#pragma once

#include "aot/kernels/cpu/linear.h"

namespace aot {
namespace {  // also part of the units of cpu/isa/, which share no function with the rest of the program

// Measured on Zen 5 (48 KiB, 1 MiB and 16 MiB of cache per core) over the products of a layer and of a head, 384 to 50304 wide: depth
// blocks of 256, 384 and 512, row blocks of 64, 96 and 128, parts of 512 and 1024 columns. A depth block of 512 is up to 10 % faster
// than 256 and errs twice as much as LibTorch's products; parts of 512 columns gain 3 to 7 % on a head of 50304.
constexpr int64_t kPackedFloats = 2 << 20;  // of `right` in one step: 8 MiB, a part of the last-level cache
constexpr int64_t kDepthBlock = 256;  // two panels of 16 columns are 32 KiB of it, in the first-level cache; longer sums err twice as much
constexpr int64_t kRowBlock = 64;     // rows of a task: 64 KiB of a depth block, in the second-level cache
constexpr int64_t kPartCols = 512;    // columns of a task: 128 KiB of its sums, in the second-level cache
constexpr int64_t kColGroup = 128;    // columns packed together, so that long pieces of rows are read
constexpr int64_t kPanelCols = 16;
constexpr int64_t kWantedTasks = 16;  // enough to keep a few threads busy to the end; more would pack rows of `left` more often

/// 0 .. all cut into pieces of `size`, the last perhaps smaller.
struct Pieces {
  int64_t all, size;
  [[nodiscard]] int64_t count() const { return (all + size - 1) / size; }
  [[nodiscard]] int64_t begin(int64_t i) const { return i * size; }
  [[nodiscard]] int64_t end(int64_t i) const { return (i + 1) * size < all ? (i + 1) * size : all; }
  [[nodiscard]] int64_t largest() const { return size < all ? size : all; }
};

/// Pieces of about `most` at most, about equal, and multiples of `unit` but for the last.
inline Pieces even_pieces(int64_t all, int64_t most, int64_t unit) {
  const int64_t count = (all + most - 1) / most, each = (all + count - 1) / count;
  return {all, (each + unit - 1) / unit * unit};
}

struct MatmulCut {
  Pieces depth, cols;  // of steps
  Pieces rows;         // of tasks
  explicit MatmulCut(const MatmulParams& p)
      // A sum that is stored as bfloat16 must not be interrupted; others are where a few columns of full depth would not fit.
      : depth(even_pieces(p.depth, p.out_bfloat16 ? p.depth : kPackedFloats / (p.cols < 512 ? p.cols : 512), kDepthBlock)),
        cols(even_pieces(p.cols, cols_that_fit(depth.largest()), 2 * kPanelCols)),
        rows(even_pieces(p.rows, kRowBlock, kPanelCols)) {}

 private:
  static int64_t cols_that_fit(int64_t depth) {
    const int64_t panels = kPackedFloats / depth / kPanelCols;
    return (panels > 2 ? panels : 2) * kPanelCols;
  }
};

/// One step: a part of the depth times a part of the columns.
struct MatmulStep {
  int64_t depth_begin, depth, col_begin, cols;
  bool first, last;  // of the depth
  Pieces blocks;     // of the depth
  Pieces groups;     // of the columns, for packing
  Pieces parts;      // of the columns, for tasks: more than one where there are few rows or very many columns

  MatmulStep(const MatmulCut& cut, int64_t step)
      : depth_begin(cut.depth.begin(step % cut.depth.count())),
        depth(cut.depth.end(step % cut.depth.count()) - depth_begin),
        col_begin(cut.cols.begin(step / cut.depth.count())),
        cols(cut.cols.end(step / cut.depth.count()) - col_begin),
        first(depth_begin == 0),
        last(depth_begin + depth == cut.depth.all),
        blocks(even_pieces(depth, kDepthBlock, kPanelCols)),
        groups{cols, kColGroup},
        parts(even_pieces(cols, part_cols(cols, cut.rows.count()), 2 * kPanelCols)) {}

  [[nodiscard]] int64_t padded_cols() const { return (cols + kPanelCols - 1) / kPanelCols * kPanelCols; }

 private:
  static int64_t part_cols(int64_t cols, int64_t row_tasks) {
    const int64_t wanted = (kWantedTasks + row_tasks - 1) / row_tasks, each = (cols + wanted - 1) / wanted;
    return each < 2 * kPanelCols ? 2 * kPanelCols : each < kPartCols ? each : kPartCols;
  }
};

}  // namespace
}  // namespace aot
