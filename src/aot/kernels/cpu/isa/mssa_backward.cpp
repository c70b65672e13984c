// SPDX-License-Identifier: Apache-2.0
// The derivative tile by tile, for every mask. With e_ij as in the forward, d_i = dO_i / l_i, D_i = d_i . O_i and
// dS_ij = scale e_ij (d_i . w_j - D_i):
//   dw_i += sum_j dS_ij w_j               the row part
//   dw_j += sum_i dS_ij w_i + e_ij d_i    the column part, one product of double depth
// Under rotary positions the dS parts belong to the turned tokens and are turned back once at the end.
// For the dot instruction e and dS are rounded to bfloat16. There dO stays what it was and the shares P_ij = e_ij / l_i take its place:
//   dS_ij = P_ij (scale dO_i . w_j - scale dO_i . O_i),  and P_ij dO_i in the column part
// so that each number is rounded once. l is the sum of the weights before rounding: a row that reads one token has P = 1 exactly.
#include "aot/kernels/cpu/isa/mssa_symmetric_dots.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

struct Gradient {
  const float* d_out;   // (padded, stride)
  const float* values;  // panels of the unturned tokens
  const float* shift;   // (padded): m log2 e
  const float* dot;     // (padded): scale D_i
  float* weights;       // (kRowBlock, kBlockCols): e
  float* d_scores;      // (kRowBlock, kBlockCols): dS
  float* d_values;      // (padded, stride): of the unturned tokens
  float* d_turned;      // (padded, stride): of the turned ones; d_values itself without positions
};

/// The sums over numbers first .. last - 1 of the tokens at w, which lie in panels, with the columns of `turned`, and of those at d with
/// `values`.
template <int C>
AOT_INLINE void two_products(const float* w, const float* d, int64_t stride, const float* const (&turned)[C],
                             const float* const (&values)[C], int64_t first, int64_t last, Vec (&scores)[kPairRows][C],
                             Vec (&d_weights)[kPairRows][C]) {
  clear(scores);
  clear(d_weights);
#pragma GCC unroll 4
  for (int64_t i = first; i < last; ++i) {
    Vec w_columns[C], d_columns[C];
    for (int c = 0; c < C; ++c) {
      w_columns[c] = load(turned[c] + i * kPanel);
      d_columns[c] = load(values[c] + i * kPanel);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kPairRows; ++r) {
      const Vec w_of_row = set1(w[r + i * kPanel]), d_of_row = set1(d[r * stride + i]);
      for (int c = 0; c < C; ++c) {
        scores[r][c] = fma(w_of_row, w_columns[c], scores[r][c]);
        d_weights[r][c] = fma(d_of_row, d_columns[c], d_weights[r][c]);
      }
    }
  }
}

/// e and dS of kPairRows rows and C vectors of columns.
template <int C>
AOT_INLINE void differentiate_tile(const MssaParams& p, const Head& head, const Gradient& g, const Block& block, int64_t row, int64_t col) {
  Vec scores[kPairRows][C], d_weights[kPairRows][C];
  const float *turned[C], *values[C];
  for (int c = 0; c < C; ++c) {
    turned[c] = panel_column(head.panels, head.dim, col + c * kLanes);
    values[c] = panel_column(g.values, head.dim, col + c * kLanes);
  }
  const float *w = panel_column(head.panels, head.dim, row), *d_row = g.d_out + row * head.stride;
  two_products<C>(w, d_row, head.stride, turned, values, 0, smaller(kShortSum, head.dim), scores, d_weights);
  for (int64_t i = kShortSum; i < head.dim; i += kShortSum) {
    Vec s[kPairRows][C], d[kPairRows][C];
    two_products<C>(w, d_row, head.stride, turned, values, i, smaller(i + kShortSum, head.dim), s, d);
    add(scores, s);
    add(d_weights, d);
  }
  const Vec factor = set1(p.scale * kLog2E), scale = set1(p.scale);
  const TileMask mask = tile_mask<C>(p, head, row, col);
  for (int r = 0; r < kPairRows; ++r) {
    const Vec shift = set1(g.shift[row + r]), dot = set1(g.dot[row + r]);
    const int64_t at = (row + r - block.row0) * kBlockCols + col - block.first;
    for (int c = 0; c < C; ++c) {
      const Vec weight = weigh(scores[r][c], factor, shift, mask, head, row + r, col + c * kLanes);
      store(g.weights + at + c * kLanes, weight);
      store(g.d_scores + at + c * kLanes, weight * fms(d_weights[r][c], scale, dot));
    }
  }
}

template <class Number>
AOT_INLINE float dot_product(const float* a, const Number* b, int64_t dim) {
  Vec total = zero();
  for (int64_t i = 0; i < dim; i += kLanes) total = fma(load_first(a + i, dim - i), load_first(b + i, dim - i), total);
  return sum(total);
}

/// d_out to d, and scale D_i. Rows behind the tokens are zeros, so whatever their weights are, they add nothing. False when some D_i is
/// not finite.
template <class Number>
bool prepare_rows(const MssaParams& p, int64_t b, int64_t k, const Head& head, float* d_out, float* dot, float* shift) {
  const Number* out = head_data<Number>(p.out, b, k);
  const float* statistics = p.statistics + (b * p.heads + k) * 2 * p.tokens;
  float check = 0;
  for (int64_t t = 0; t < head.padded; ++t, d_out += head.stride) {
    const bool real = t < head.tokens;
    shift[t] = real ? statistics[t] : 0;
    const Vec inverse = set1(real ? statistics[p.tokens + t] : 0);
    for (int64_t i = 0; i < head.stride; i += kLanes) store(d_out + i, load(d_out + i) * inverse);
    dot[t] = real ? p.scale * dot_product(d_out, out + t * p.out.token, p.dim) : 0;
    check += 0.0F * dot[t];
  }
  return check == 0;
}

/// The gradient of a head that is one task, or this task's part of it.
void write_gradient(const MssaParams& p, int64_t b, int64_t k, int64_t task, int64_t parts, int64_t tokens, const float* rows) {
  const int64_t stride = round_up(p.dim, 16);
  if (parts > 1) {
    float* partial = p.partial + task * p.tokens * p.dim;
    copy_out(rows, nullptr, stride, tokens, p.dim, partial, p.dim);
    for (float* rest = partial + tokens * p.dim; rest < partial + p.tokens * p.dim; ++rest) *rest = 0;
  } else {
    copy_out(p, rows, nullptr, stride, 0, tokens, p.dw, b, k);
  }
}

void sum_parts(const MssaParams& p, int64_t parts, int64_t head, float* row) {
  const int64_t numbers = p.tokens * p.dim, stride = round_up(p.dim, 16);
  const float* partial = p.partial + head * parts * numbers;
  for (int64_t t = 0; t < p.tokens; ++t) {
    for (int64_t i = 0; i < p.dim; i += kLanes) {
      Vec total = zero();
      for (int64_t part = 0; part < parts; ++part) total = total + load_first(partial + part * numbers + t * p.dim + i, p.dim - i);
      store_first(row + i, total, p.dim - i);
    }
    copy_out(p, row, nullptr, stride, t, 1, p.dw, head / p.heads, head % p.heads);
  }
}

/// dw of the head, or of this task's rows of it, (padded, stride), in scratch memory.
float* backward_head(const MssaParams& p, int64_t b, int64_t k, int64_t task, RowRange range, bool whole, Scratch& scratch) {
  const Head head = pack_head(p, b, k, p.causal ? range.end : p.tokens, true, scratch);
  const int64_t numbers = head.padded * head.stride;
  float *d_out = scratch.take(numbers), *dot = scratch.take(head.padded), *shift = scratch.take(head.padded);
  copy_rows(p, p.d_out, b, k, head.tokens, d_out);
  const bool finite =
      p.bfloat16 ? prepare_rows<uint16_t>(p, b, k, head, d_out, dot, shift) : prepare_rows<float>(p, b, k, head, d_out, dot, shift);
  if (!finite || !head.finite) p.notices[task] |= kMssaNonFinite;
  if (whole && symmetry_fits(p, head)) return symmetric_backward(p, head, d_out, dot, scratch);

  Gradient g{.d_out = d_out, .values = head.panels, .shift = shift, .dot = dot};
  g.weights = scratch.take(kRowBlock * kBlockCols);
  g.d_scores = scratch.take(kRowBlock * kBlockCols);
  g.d_values = g.d_turned = take_zeros(scratch, numbers);
  if (p.cos != nullptr) {
    float* panels = scratch.take(head.padded * head.dim);
    pack_panels(head.rows, head.stride, head.padded, head.dim, panels);
    g.values = panels;
    g.d_turned = take_zeros(scratch, numbers);
  }

  for_each_block(p.causal ? Part::causal : Part::all, head, range, [&](const Block& block) {
    for_each_tile<kPairRows>(block, [&]<int C>(int64_t row, int64_t col) { differentiate_tile<C>(p, head, g, block, row, col); });
    add_rows(block, g.d_scores, head.turned, head.stride, g.d_turned);
    if (g.d_turned == g.d_values) {
      add_columns<2>(block, {{g.d_scores, head.turned}, {g.weights, g.d_out}}, head.stride, g.d_values);
    } else {
      add_columns<1>(block, {{g.d_scores, head.turned}}, head.stride, g.d_turned);
      add_columns<1>(block, {{g.weights, g.d_out}}, head.stride, g.d_values);
    }
  });
  if (p.cos != nullptr) add_turned_back(p, head, g.d_turned, g.d_values);
  return g.d_values;
}

#if defined(__AVX512BF16__)

/// d_out of a head, and what else the derivative needs of its tokens. False when some D is not finite.
bool prepare_dots(const MssaParams& p, int64_t b, int64_t k, const DotHead& head, DotGradient& g, Scratch& scratch) {
  float *shift = scratch.take(head.padded), *inverse = scratch.take(head.padded), *dot = scratch.take(head.padded);
  const float* statistics = p.statistics + (b * p.heads + k) * 2 * p.tokens;
  const HeadRows d_out(p, p.d_out, b, k, head.tokens), out(p, p.out, b, k, head.tokens);
  float check = 0;
  for (int64_t t = head.tokens; t < head.padded; ++t) shift[t] = inverse[t] = dot[t] = 0;
  g.d_out = pack_tokens(head, {.panels = true, .pairs = true}, scratch, [&](int64_t t, uint16_t* to) {
    alignas(64) uint16_t row[kMaxDim];
    d_out(t, to);
    out(t, row);
    Vec total = zero();
    for (int64_t i = 0; i < head.stride; i += kLanes) total = fma(load(to + i), load(row + i), total);
    shift[t] = statistics[t];
    inverse[t] = statistics[p.tokens + t];
    dot[t] = p.scale * sum(total);
    check += 0.0F * dot[t];
  });
  g.shift = shift;
  g.inverse = inverse;
  g.dot = dot;
  return check == 0;
}

struct DotTiles {
  uint16_t *score_rows, *score_columns;  // dS
  uint16_t* weight_columns;              // P = e / l
};

/// P and dS = P (scale dO_i . w_j - D_i) of kPairRows rows and C vectors of columns.
template <int C>
AOT_INLINE void differentiate_tile(const MssaParams& p, const DotHead& head, const DotGradient& g, const DotTiles& tiles,
                                   const Block& block, int64_t row, int64_t col) {
  Vec scores[kPairRows][C], weights[kPairRows][C];
  clear(scores);
  clear(weights);
  const LeftPairs turned_rows = left_rows(head, head.turned, row), d_rows = left_rows(head, g.d_out, row);
#pragma GCC unroll 4
  for (int64_t i = 0; i < head.dim; i += 2) {
    __m512bh turned[C], values[C];
    for (int c = 0; c < C; ++c) {
      const int64_t at = panel_offset(head, col + c * kLanes) + i * kPanel;
      turned[c] = load_pairs(head.turned.panels + at);
      values[c] = load_pairs(head.w.panels + at);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kPairRows; ++r) {
      const __m512bh turned_row = set1_pair(turned_rows.data + 2 * r + i * kPanel), d_row = set1_pair(d_rows.data + 2 * r + i * kPanel);
      for (int c = 0; c < C; ++c) {
        scores[r][c].v = _mm512_dpbf16_ps(scores[r][c].v, turned_row, turned[c]);
        weights[r][c].v = _mm512_dpbf16_ps(weights[r][c].v, d_row, values[c]);
      }
    }
  }
  const Vec factor = set1(p.scale * kLog2E), scale = set1(p.scale);
  const int64_t i = row - block.row0, j = col - block.first;
  with_weights<C>(p, head, row, col, [&](const auto& weight_of) {
#pragma GCC unroll 8
    for (int r = 0; r < kPairRows; ++r) {
      const Vec shift = set1(g.shift[row + r]), inverse = set1(g.inverse[row + r]), dot = set1(g.dot[row + r]);
      for (int c = 0; c < C; ++c) {
        const Vec weight = weight_of(scores[r][c], factor, shift, row + r, col + c * kLanes) * inverse;
        scores[r][c] = weight * fms(weights[r][c], scale, dot);
        weights[r][c] = weight;
      }
    }
    store_rows(scores, i, j, tiles.score_rows);
    store_columns(scores, i, j, tiles.score_columns);
    store_columns(weights, i, j, tiles.weight_columns);
  });
}

float* backward_dot_head(const MssaParams& p, int64_t b, int64_t k, int64_t task, RowRange range, bool whole, Scratch& scratch) {
  const DotHead head = pack_dot_head(p, b, k, p.causal ? range.end : p.tokens, true, scratch);
  const bool symmetric = whole && symmetry_fits(p, head);
  DotGradient g;
  if (!prepare_dots(p, b, k, head, g, scratch) || !head.finite) p.notices[task] |= kMssaNonFinite;
  if (symmetric) return symmetric_backward(p, head, g, scratch);

  const int64_t size = kRowBlock * kBlockCols, numbers = head.padded * head.stride;
  const DotTiles tiles{
      .score_rows = take_half(scratch, size), .score_columns = take_half(scratch, size), .weight_columns = take_half(scratch, size)};
  float *dw = take_zeros(scratch, numbers), *d_turned = dw;
  if (p.cos != nullptr) d_turned = take_zeros(scratch, numbers);
  for_each_block(p.causal ? Part::causal : Part::all, head, range, [&](const Block& block) {
    for_each_tile<kPairRows>(block, [&]<int C>(int64_t row, int64_t col) { differentiate_tile<C>(p, head, g, tiles, block, row, col); });
    add_rows<1>(block, {{tiles.score_rows, head.turned.pairs}}, head, d_turned);
    if (p.cos == nullptr) {
      add_columns<2>(block, {{tiles.score_columns, head.w.pairs}, {tiles.weight_columns, g.d_out.pairs}}, head, dw);
    } else {
      add_columns<1>(block, {{tiles.score_columns, head.turned.pairs}}, head, d_turned);
      add_columns<1>(block, {{tiles.weight_columns, g.d_out.pairs}}, head, dw);
    }
  });
  if (p.cos != nullptr) add_turned_back(p, head, d_turned, dw);
  return dw;
}

#endif

void backward_task(const MssaParams& p, int64_t task, int64_t parts, float* memory) {
  const int64_t b = task / parts / p.heads, k = task / parts % p.heads;
  const RowRange range = part_rows(p, task % parts, parts);
  p.notices[task] = 0;
  Scratch scratch(memory);
  float* dw;
#if defined(__AVX512BF16__)
  if (p.bfloat16)
    dw = backward_dot_head(p, b, k, task, range, parts == 1, scratch);
  else
#endif
    dw = backward_head(p, b, k, task, range, parts == 1, scratch);
  write_gradient(p, b, k, task, parts, p.causal ? range.end : p.tokens, dw);
}

}  // namespace

namespace AOT_ISA {

void mssa_backward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch) {
  for (int64_t task = begin; task < end; ++task) backward_task(params, task, parts, scratch);
}

void mssa_backward_sum(const MssaParams& params, int64_t parts, int64_t begin, int64_t end) {
  float row[kMaxDim];
  for (int64_t head = begin; head < end; ++head) sum_parts(params, parts, head, row);
}

}  // namespace AOT_ISA
}  // namespace aot
