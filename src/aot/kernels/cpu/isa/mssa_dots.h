// SPDX-License-Identifier: Apache-2.0
// A head in bfloat16 for the dot instruction, and the products of tiles with it. Sums stay float32; what a tile holds is rounded to
// bfloat16, once as rows (pairs of neighbouring columns) and once as columns (pairs of neighbouring rows), as the product wants it.
#pragma once

#include "aot/kernels/cpu/isa/dots.h"
#include "aot/kernels/cpu/isa/mssa_blocks.h"

#if defined(__AVX512BF16__)

namespace aot {
namespace {

/// One matrix of tokens in the two forms in which products read it. Numbers and tokens behind the last are zeros.
struct DotTokens {
  uint16_t* panels;  // [token / 16][p / 2][16][2]: both operands of products over P
  uint16_t* pairs;   // [p / 16][token / 2][16][2]: the right operand of products over tokens
};

struct DotHead : HeadBase {
  using Number = uint16_t;
  DotTokens w;
  DotTokens turned;  // after the rotary positions; `w` itself without
};

/// The forms that a pass asks for; the others stay null.
struct Forms {
  bool panels, pairs;
};

AOT_INLINE uint16_t* take_half(Scratch& scratch, int64_t numbers) {
  return reinterpret_cast<uint16_t*>(scratch.take(numbers / 2));
}

constexpr int64_t kPiece = 32;  // numbers of a register: packed rows are this much or a multiple long

/// Where token `token` begins in panels. A register of columns begins every 16 tokens, a line of a left operand at each.
AOT_INLINE int64_t panel_offset(const HeadBase& head, int64_t token) {
  return token / kPanel * kPanel * round_up(head.dim, kPiece) + token % kPanel * 2;
}

/// Packs what row(t, to) writes of each token, in whole pieces.
template <class Row>
inline DotTokens pack_tokens(const HeadBase& head, Forms forms, Scratch& scratch, const Row& row) {
  const int64_t width = round_up(head.dim, kPiece);
  DotTokens out{.panels = forms.panels ? take_half(scratch, head.padded * width) : nullptr,
                .pairs = forms.pairs ? take_half(scratch, head.padded * head.stride) : nullptr};
  alignas(64) uint16_t rows[kPanel * kMaxDim];
  for (int64_t first = 0; first < head.padded; first += kPanel) {
    for (int64_t t = 0; t < kPanel; ++t) {
      uint16_t* to = rows + t * width;
      if (first + t < head.tokens)
        row(first + t, to);
      else
        for (int64_t i = 0; i < width; i += kPiece) store(to + i, Pairs{_mm512_setzero_si512()});
    }
    if (forms.panels) pack_pairs(rows, width, 1, kPanel, width, out.panels + first * width);
    for (int64_t i = 0; forms.pairs && i < head.stride; i += kPanel)
      pack_pairs(rows + i, 1, width, kPanel, kPanel, out.pairs + i * head.padded + first * kPanel);
  }
  return out;
}

/// The tokens of head (b, k) of `view`, for pack_tokens.
struct HeadRows {
  const uint16_t* data;
  int64_t token, tokens, dim;

  HeadRows(const MssaParams& p, const HeadsView& view, int64_t b, int64_t k, int64_t count)
      : data(head_data<uint16_t>(view, b, k)), token(view.token), tokens(count), dim(p.dim) {}

  AOT_INLINE void operator()(int64_t t, uint16_t* to) const {
    if (t + kRowsAhead < tokens) prefetch_piece(data + (t + kRowsAhead) * token, dim);
    for (int64_t i = 0; i < dim; i += kPiece) {
      const int64_t left = dim - i;
      const __mmask32 mask = left >= kPiece ? ~0U : (1U << left) - 1;
      store(to + i, Pairs{_mm512_maskz_loadu_epi16(mask, data + t * token + i)});
    }
  }
};

/// Head k of sequence b, of which the first `tokens` tokens count. `backward`: with all that a derivative reads.
inline DotHead pack_dot_head(const MssaParams& p, int64_t b, int64_t k, int64_t tokens, bool backward, Scratch& scratch) {
  DotHead head{head_base(p, tokens, scratch)};
  const bool positions = p.cos != nullptr;
  const HeadRows rows(p, p.w, b, k, tokens);
  head.w = pack_tokens(head, {.panels = !positions || backward, .pairs = true}, scratch, rows);
  head.turned = head.w;
  if (positions)
    head.turned = pack_tokens(head, {.panels = true, .pairs = backward}, scratch, [&](int64_t t, uint16_t* to) {
      rows(t, to);  // for the zeros behind the numbers
      turn_row(rows.data + t * rows.token, p.cos + t * (p.dim / 2), p.sin + t * (p.dim / 2), p.dim, false, to);
    });
  for (int64_t t = 0; t < head.padded; t += kLanes) {
    // The very sum that makes the score of a token with itself.
    Vec squares = zero();
    for (int64_t i = 0; i < head.dim; i += 2) {
      const __m512bh pairs = load_pairs(head.turned.panels + panel_offset(head, t) + i * kPanel);
      squares.v = _mm512_dpbf16_ps(squares.v, pairs, pairs);
    }
    store(head.norm + t, squares * set1(p.scale));
  }
  read_masks(p, b, head);
  return head;
}

/// The tile of tokens from `row` on as the left operand of a product over P.
AOT_INLINE LeftPairs left_rows(const HeadBase& head, const DotTokens& left, int64_t row) {
  return {left.panels + panel_offset(head, row), 2, 2 * kPanel};
}

/// acc = unscaled scores, as in mssa_blocks.h.
template <int C>
AOT_INLINE void tile_scores(Vec (&acc)[kTileRows][C], const DotHead& head, int64_t row, int64_t col) {
  const uint16_t* columns[C];
  for (int c = 0; c < C; ++c) columns[c] = head.turned.panels + panel_offset(head, col + c * kLanes);
  clear(acc);
  multiply_pairs<kTileRows, C>(acc, left_rows(head, head.turned, row), columns, head.dim);
}

/// A tile of numbers and the `pairs` of the tokens that it multiplies.
struct DotFactor {
  const uint16_t* tile;
  const uint16_t* pairs;
};

/// out (kTileRows x stride) += the sum over the factors of kTileRows lines of their tiles, from number `begin` on, with `depth` tokens from
/// `token` on, which is even. Lines and their pairs lie kLine and kPair numbers apart.
template <int64_t kLine, int64_t kPair, int N>
AOT_INLINE void add_product(float* out, const HeadBase& head, const DotFactor (&factors)[N], int64_t begin, int64_t token, int64_t depth) {
  const auto columns = [&]<int C>(int64_t at) __attribute__((always_inline)) {
    Vec acc[kTileRows][C];
    clear(acc);
    for (const DotFactor& factor : factors) {
      const uint16_t* right[C];
      for (int c = 0; c < C; ++c) right[c] = factor.pairs + (at + c * kLanes) * head.padded + token * kPanel;
      multiply_pairs<kTileRows, C>(acc, {factor.tile + begin, kLine, kPair}, right, depth);
    }
    add_to(out + at, head.stride, acc);
  };
  int64_t at = 0;
  for (; at + kTileCols <= head.stride; at += kTileCols) columns.template operator()<2>(at);
  if (at < head.stride) columns.template operator()<1>(at);
}

/// out_i += sum_j tile_ij tokens_j over the factors; tiles as rows of kBlockCols numbers.
template <int N>
void add_rows(const Block& block, const DotFactor (&factors)[N], const HeadBase& head, float* out) {
  for (int64_t i = 0; i < block.rows; i += kTileRows) {
    const int64_t depth = columns_end(block, block.row0 + i) - block.first;
    if (depth > 0) add_product<kBlockCols, 2>(out + (block.row0 + i) * head.stride, head, factors, i * kBlockCols, block.first, depth);
  }
}

/// out_j += sum_i tile_ij tokens_i over the factors; tiles as columns, [i / 2][kBlockCols][2].
template <int N>
void add_columns(const Block& block, const DotFactor (&factors)[N], const HeadBase& head, float* out) {
  const int64_t end = columns_end(block) - block.first;
  for (int64_t j = 0; j < end; j += kTileRows) {
    const int64_t i = rows_begin(block, block.first + j);
    if (i < block.rows)
      add_product<2, 2 * kBlockCols>(out + (block.first + j) * head.stride, head, factors, i * kBlockCols + 2 * j, block.row0 + i,
                                     block.rows - i);
  }
}

/// Calls body(weight) with `weigh` for a tile: most tiles are whole, and get code of their own without the tests.
template <int C, class Body>
AOT_INLINE void with_weights(const MssaParams& p, const HeadBase& head, int64_t row, int64_t col, const Body& body) {
  const TileMask mask = tile_mask<C>(p, head, row, col);
  if (mask.diagonal || mask.partly)
    body([&](Vec score, Vec factor, Vec shift, int64_t i, int64_t j)
             __attribute__((always_inline)) { return weigh(score, factor, shift, mask, head, i, j); });
  else
    body([&](Vec score, Vec factor, Vec shift, int64_t, int64_t)
             __attribute__((always_inline)) { return exp2(fms(score, factor, shift)); });
}

/// Numbers of R rows of a tile that belong at (i, j) of the block, as rows.
template <int R, int C>
AOT_INLINE void store_rows(const Vec (&numbers)[R][C], int64_t i, int64_t j, uint16_t* tile) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) store(tile + (i + r) * kBlockCols + j, to_pairs(numbers[r][0], C == 2 ? numbers[r][C - 1] : zero()));
}

/// The same as columns; i is even.
template <int R, int C>
AOT_INLINE void store_columns(const Vec (&numbers)[R][C], int64_t i, int64_t j, uint16_t* tile) {
#pragma GCC unroll 8
  for (int r = 0; r < R; r += 2)
    for (int c = 0; c < C; ++c)
      store(tile + (i + r) * kBlockCols + 2 * (j + c * kLanes), to_pairs_of_lanes(numbers[r][c], numbers[r + 1][c]));
}

}  // namespace
}  // namespace aot

#endif
