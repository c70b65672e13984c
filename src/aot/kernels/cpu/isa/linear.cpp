// SPDX-License-Identifier: Apache-2.0
// Matrix products: panels of `right` in the caches, rows of `left` broadcast against them.
#include "aot/kernels/cpu/linear.h"

#include "aot/kernels/cpu/isa/dots.h"
#include "aot/kernels/cpu/isa/units.h"
#include "aot/kernels/cpu/matmul_cut.h"

namespace aot {
namespace {

// How the operands meet. Each has: Number, how they are stored; Packed, how panels hold them; kPair, how many neighbours in depth lie side
// by side in a panel.
struct Float32 {
  using Number = float;
  using Packed = float;
  static constexpr int64_t kPair = 1;
};
/// bfloat16 that becomes float32 while it is packed.
struct Widened {
  using Number = uint16_t;
  using Packed = float;
  static constexpr int64_t kPair = 1;
};

AOT_INLINE void pack(const float* from, int64_t line, int64_t step, int64_t count, int64_t depth, float* to) {
  pack_lines(from, line, step, count, depth, to);
}
AOT_INLINE void pack(const uint16_t* from, int64_t line, int64_t step, int64_t count, int64_t depth, float* to) {
  pack_lines(from, line, step, count, depth, to);
}

#if defined(__AVX512BF16__)
/// bfloat16 for the processor's dot instruction, which adds the products of two neighbours to a float32 sum.
struct Dots {
  using Number = uint16_t;
  using Packed = uint16_t;
  static constexpr int64_t kPair = 2;
};
AOT_INLINE void pack(const uint16_t* from, int64_t line, int64_t step, int64_t count, int64_t depth, uint16_t* to) {
  pack_pairs(from, line, step, count, depth, to);
}
#endif

/// The left operand of a tile: strides in Packed numbers, the depth stride for a pair.
template <class Packed>
struct Rows {
  const Packed* data;
  int64_t row, depth;
};

/// acc += rows * panels over `depth` numbers of depth.
template <int R, int C>
AOT_INLINE void multiply_panels(Vec (&acc)[R][C], const Rows<float>& rows, const float* const (&right)[C], int64_t depth) {
  multiply<R, C>(acc, {rows.data, rows.row, rows.depth}, right, kPanel, depth);
}
#if defined(__AVX512BF16__)
template <int R, int C>
AOT_INLINE void multiply_panels(Vec (&acc)[R][C], const Rows<uint16_t>& rows, const uint16_t* const (&right)[C], int64_t depth) {
  multiply_pairs<R, C>(acc, {rows.data, rows.row, rows.depth}, right, depth);
}
#endif

/// Where the sums of a tile go.
struct Tile {
  float* out;
  int64_t out_row, rows, cols;  // what of the tile is there
  const float* bias;            // or null
  bool add;                     // to what out holds
};

template <int R, int C>
AOT_INLINE void finish(const Tile& t, const Vec (&acc)[R][C]) {
  const bool whole = t.rows >= R && t.cols >= C * kLanes;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float* to = t.out + r * t.out_row + c * kLanes;
      Vec x = acc[r][c];
      if (whole) {
        if (t.add) x = x + load(to);
        if (t.bias != nullptr) x = x + load(t.bias + c * kLanes);
        store(to, x);
      } else if (const int64_t n = t.cols - c * kLanes; r < t.rows && n > 0) {
        if (t.add) x = x + load_first(to, n);
        if (t.bias != nullptr) x = x + load_first(t.bias + c * kLanes, n);
        store_first(to, x, n);
      }
    }
}

template <int C, class Packed>
AOT_INLINE void multiply_tile(const Tile& t, const Rows<Packed>& rows, const Packed* panels, int64_t col, int64_t depth, int64_t pair) {
  Vec acc[kTileRows][C];
  clear(acc);
  const int64_t padded = round_up(depth, pair);
  const Packed* right[C];
  for (int c = 0; c < C; ++c) {
    const int64_t at = col + c * kLanes;
    right[c] = panels + at / kPanel * kPanel * padded + at % kPanel * pair;
  }
  multiply_panels<kTileRows, C>(acc, rows, right, depth);
  finish(t, acc);
}

/// The sums of one task, on their way through the blocks of the depth.
struct Sums {
  float* data;  // of the task's first row and column
  int64_t row;
  bool add;  // to what they hold at the first block
};

template <class Kind>
class Task {
 public:
  using Packed = typename Kind::Packed;
  Task(const MatmulParams& p, const MatmulCut& cut, const MatmulStep& step, int64_t task)
      : p_(p),
        step_(step),
        row_(cut.rows.begin(task / step.parts.count())),
        rows_(cut.rows.end(task / step.parts.count()) - row_),
        first_(step.parts.begin(task % step.parts.count())),
        last_(step.parts.end(task % step.parts.count())) {}

  void run(const float* packed, float* scratch) const {
    auto* strips = reinterpret_cast<Packed*>(scratch);
    float* held = scratch + round_up(rows_, kPanel) * (kDepthBlock + kPanel);
    const int64_t cols = last_ - first_;
    const Sums sums =
        p_.out_bfloat16 ? Sums{held, round_up(cols, kPanel), false} : Sums{out<float>(0), p_.out_row, p_.accumulate || !step_.first};
    for (int64_t block = 0; block < step_.blocks.count(); ++block) run_block(block, reinterpret_cast<const Packed*>(packed), strips, sums);
    if (p_.out_bfloat16)
      for (int64_t r = 0; r < rows_; ++r) store_row(sums.data + r * sums.row, out<uint16_t>(r), cols);
  }

 private:
  template <class Number>
  Number* out(int64_t row) const {
    return static_cast<Number*>(p_.out) + (row_ + row) * p_.out_row + step_.col_begin + first_;
  }

  void run_block(int64_t block, const Packed* packed, Packed* strips, const Sums& sums) const {
    const int64_t begin = step_.blocks.begin(block), depth = step_.blocks.end(block) - begin;
    const Packed* panels = packed + begin * step_.padded_cols();
    using Number = typename Kind::Number;
    const Number* left = static_cast<const Number*>(p_.left.data) + row_ * p_.left.row + (step_.depth_begin + begin) * p_.left.column;
    // Rows are read where they are when their numbers lie as a tile wants them.
    bool in_place = false;
    if constexpr (sizeof(Number) == sizeof(Packed)) in_place = p_.left.column == 1 && rows_ % kTileRows == 0 && depth % Kind::kPair == 0;
    if (!in_place) pack(left, p_.left.row, p_.left.column, rows_, depth, strips);
    const int64_t strip_depth = round_up(depth, Kind::kPair);
    const bool done = step_.last && block + 1 == step_.blocks.count();
    for (int64_t col = first_; col < last_; col += kTileCols)
      for (int64_t r = 0; r < rows_; r += kTileRows) {
        const Tile tile{.out = sums.data + r * sums.row + col - first_,
                        .out_row = sums.row,
                        .rows = rows_ - r,
                        .cols = last_ - col,
                        .bias = done && p_.bias != nullptr ? p_.bias + step_.col_begin + col : nullptr,
                        .add = sums.add || block > 0};
        Rows<Packed> rows{strips + r / kPanel * kPanel * strip_depth + r % kPanel * Kind::kPair, Kind::kPair, kPanel * Kind::kPair};
        if (in_place) rows = {reinterpret_cast<const Packed*>(left) + r * p_.left.row, p_.left.row, Kind::kPair};
        if (tile.cols > kLanes)
          multiply_tile<2>(tile, rows, panels, col, depth, Kind::kPair);
        else
          multiply_tile<1>(tile, rows, panels, col, depth, Kind::kPair);
      }
  }

  void store_row(const float* from, uint16_t* to, int64_t cols) const {
    for (int64_t c = 0; c < cols; c += kLanes) {
      Vec x = load(from + c);
      if (p_.accumulate) x = x + load_first(to + c, cols - c);
      store_first(to + c, x, cols - c);
    }
  }

  const MatmulParams& p_;
  const MatmulStep& step_;
  int64_t row_, rows_;    // rows of out
  int64_t first_, last_;  // columns of the step
};

template <class Kind>
inline void pack_task(const MatmulParams& p, const MatmulStep& step, int64_t task, float* packed) {
  const int64_t block = task / step.groups.count(), group = task % step.groups.count();
  const int64_t k = step.blocks.begin(block), depth = step.blocks.end(block) - k, col = step.groups.begin(group);
  const auto* right = static_cast<const typename Kind::Number*>(p.right.data) + (step.depth_begin + k) * p.right.row +
                      (step.col_begin + col) * p.right.column;
  pack(right, p.right.column, p.right.row, step.groups.end(group) - col, depth,
       reinterpret_cast<typename Kind::Packed*>(packed) + k * step.padded_cols() + col * round_up(depth, Kind::kPair));
}

/// Calls body(Kind()) with the way that these operands meet.
template <class Body>
AOT_INLINE void with_kind(const MatmulParams& p, const Body& body) {
  if (!p.bfloat16) return body(Float32());
#if defined(__AVX512BF16__)
  return body(Dots());
#else
  return body(Widened());
#endif
}

/// Four rows of W against x: one sum alone would wait for its own last addition.
template <int R>
AOT_INLINE void dot_rows(const RowProductParams& p, int64_t first) {
  const float* w = p.w + first * p.w_row;
  Vec sums[R][2];
  clear(sums);
  int64_t k = 0;
  for (; k + 2 * kLanes <= p.depth; k += 2 * kLanes)
    for (int c = 0; c < 2; ++c) {
      const Vec x = load(p.x + k + c * kLanes);
      for (int r = 0; r < R; ++r) sums[r][c] = fma(load(w + r * p.w_row + k + c * kLanes), x, sums[r][c]);
    }
  for (; k < p.depth; k += kLanes) {
    const Vec x = load_first(p.x + k, p.depth - k);
    for (int r = 0; r < R; ++r) sums[r][0] = fma(load_first(w + r * p.w_row + k, p.depth - k), x, sums[r][0]);
  }
  for (int r = 0; r < R; ++r) p.out[first + r] = sum(sums[r][0] + sums[r][1]) + (p.bias != nullptr ? p.bias[first + r] : 0);
}

}  // namespace

namespace AOT_ISA {

void matmul_pack(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, float* packed) {
  const MatmulStep at(MatmulCut(params), step);
  with_kind(params, [&]<class Kind>(Kind) {
    for (int64_t task = begin; task < end; ++task) pack_task<Kind>(params, at, task, packed);
  });
}

void matmul(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, const float* packed, float* scratch) {
  const MatmulCut cut(params);
  const MatmulStep at(cut, step);
  with_kind(params, [&]<class Kind>(Kind) {
    for (int64_t task = begin; task < end; ++task) Task<Kind>(params, cut, at, task).run(packed, scratch);
  });
}

void multiply_row(const RowProductParams& params, int64_t begin, int64_t end) {
  int64_t n = begin;
  for (; n + 4 <= end; n += 4) dot_rows<4>(params, n);
  for (; n < end; ++n) dot_rows<1>(params, n);
}

}  // namespace AOT_ISA
}  // namespace aot
