// SPDX-License-Identifier: Apache-2.0
// Products of packed weights with the few vectors of a decoding batch: bound by reading the weights.
//
// One chain of additions per output, in the order of depth, whatever the tile: so a sequence's bits do not depend on the batch. For one
// sequence the chains that hide the additions' latency come from several panels at once.
#include "aot/kernels/cpu/isa/decode_numbers.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

/// Phi(y) y with Phi from erfc's rational approximation, absolute error 1.5e-7.   [Abramowitz and Stegun 1964, 7.1.26]
AOT_INLINE Vec gelu(Vec y) {
  const Vec x = max(y, zero() - y) * set1(0.707106781F);
  const Vec t = set1(1) / fma(x, set1(0.3275911F), set1(1));
  Vec p = set1(1.061405429F);
  p = fma(p, t, set1(-1.453152027F));
  p = fma(p, t, set1(1.421413741F));
  p = fma(p, t, set1(-0.284496736F));
  p = fma(p, t, set1(0.254829592F));
  const Vec half_erfc = set1(0.5F) * p * t * exp(zero() - x * x);  // Phi(-|y|)
  // y Phi(y) = max(y, 0) - |y| Phi(-|y|)
  return max(y, zero()) - max(y, zero() - y) * half_erfc;
}

/// y / (1 + exp(-y)), by exp(-|y|), which cannot overflow.
AOT_INLINE Vec silu(Vec y) {
  const Vec minus_y = zero() - y, e = exp(zero() - max(y, minus_y));
  return (max(y, zero()) - max(minus_y, zero()) * e) / (set1(1) + e);
}

/// y (1 + tanh a) / 2 with a = sqrt(2 / pi) (y + 0.044715 y^3); (1 + tanh a) / 2 = sigmoid(2 a), which has the sign of y inside.
AOT_INLINE Vec gelu_tanh(Vec y) {
  const Vec size = max(y, zero() - y);
  const Vec minus_2a = size * fma(size * size, set1(-0.0713548163F), set1(-1.595769122F));
  const Vec e = exp(minus_2a);
  return max(y, zero()) - size * e / (set1(1) + e);
}

AOT_INLINE void finish(const ProductParams& p, int64_t row, int64_t column, Vec y) {
  if (p.w.scales != nullptr) y = y * load(p.w.scales + column);
  if (p.bias != nullptr) y = y + load(p.bias + column);
  float* out = p.out + row * p.out_stride + column;
  switch (p.end) {
    case ProductEnd::store:
      break;
    case ProductEnd::gelu:
      y = gelu(y);
      break;
    case ProductEnd::gelu_tanh:
      y = gelu_tanh(y);
      break;
    case ProductEnd::gate:
      y = load(out) * silu(y);
      break;
    case ProductEnd::add:
      y = fma(y, p.steps != nullptr ? load(p.steps + column) : set1(p.step), load(out));
      break;
  }
  store(out, y);
}

/// Outputs of R sequences from `row` on and C vectors of columns from `column` on.
template <int R, int C, class Number>
AOT_INLINE void product_tile(const ProductParams& p, const Number* panels, int64_t row, int64_t column) {
  Vec acc[R][C];
  clear(acc);
  const float* x = p.x + row * p.x_stride;
  const Number* w[C];
  for (int c = 0; c < C; ++c) {
    const int64_t col = column + c * kLanes;
    w[c] = panels + col / kWeightPanel * kWeightPanel * p.w.depth + col % kWeightPanel;
  }
#pragma GCC unroll 4
  for (int64_t k = 0; k < p.w.depth; ++k) {
    Vec columns[C];
    for (int c = 0; c < C; ++c) columns[c] = load(w[c] + k * kWeightPanel);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec factor = set1(x[r * p.x_stride + k]);
      for (int c = 0; c < C; ++c) acc[r][c] = fma(factor, columns[c], acc[r][c]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) finish(p, row + r, column + c * kLanes, acc[r][c]);
}

/// Columns [begin, end), whole panels, of R sequences.
template <int R, class Number>
inline void product_rows(const ProductParams& p, const Number* panels, int64_t row, int64_t begin, int64_t end) {
  constexpr int kWide = R == 1 ? 8 : R * 4 <= kTileRows * 2 ? 4 : 2;
  int64_t column = begin;
  for (; column + kWide * kLanes <= end; column += kWide * kLanes) product_tile<R, kWide>(p, panels, row, column);
  for (; column < end; column += 2 * kLanes) product_tile<R, 2>(p, panels, row, column);
}

template <class Number>
inline void product(const ProductParams& p, const Number* panels, int64_t begin, int64_t end) {
  if (p.batch == 1) return product_rows<1>(p, panels, 0, begin * kWeightPanel, end * kWeightPanel);
  // A panel stays in the cache while all sequences pass.
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t first = panel * kWeightPanel, last = first + kWeightPanel;
    int64_t row = 0;
    for (; row + kTileRows <= p.batch; row += kTileRows) product_rows<kTileRows>(p, panels, row, first, last);
    switch (p.batch - row) {
#if defined(__AVX512F__)
      case 7:
        product_rows<7>(p, panels, row, first, last);
        break;
      case 6:
        product_rows<6>(p, panels, row, first, last);
        break;
      case 5:
        product_rows<5>(p, panels, row, first, last);
        break;
      case 4:
        product_rows<4>(p, panels, row, first, last);
        break;
#endif
      case 3:
        product_rows<3>(p, panels, row, first, last);
        break;
      case 2:
        product_rows<2>(p, panels, row, first, last);
        break;
      case 1:
        product_rows<1>(p, panels, row, first, last);
        break;
      default:
        break;
    }
  }
}

}  // namespace

namespace AOT_ISA {

void pack_weights(const float* from, int64_t row_stride, int64_t depth_stride, const PackedMatrix& to, int64_t begin, int64_t end) {
  const float none = 0;  // every number of the rows behind the last
  for (int64_t row = begin * kWeightPanel; row < end * kWeightPanel; ++row) {
    const bool real = row < to.rows;
    store_row(real ? from + row * row_stride : &none, real ? depth_stride : 0, to.depth, to.format, to.panels,
              row / kWeightPanel * kWeightPanel * to.depth + row % kWeightPanel, kWeightPanel,
              to.scales != nullptr ? to.scales + row : nullptr);
  }
}

void decode_product(const ProductParams& params, int64_t begin, int64_t end) {
  if (begin >= end) return;
  with_format(params.w.format, params.w.panels, [&](const auto* panels) { product(params, panels, begin, end); });
}

}  // namespace AOT_ISA
}  // namespace aot
