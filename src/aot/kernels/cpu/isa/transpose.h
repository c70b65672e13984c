// SPDX-License-Identifier: Apache-2.0
// Rows to panels: 16 tokens of P numbers become P rows of 16 lanes.
#pragma once

#include "aot/kernels/cpu/isa/tile.h"

namespace aot {
namespace {

#if defined(__AVX512F__)

/// to[c * 16 + r] = from[r * stride + c] for 16 x 16 numbers: pairs, quads, then blocks of four lanes change places.
AOT_INLINE void transpose_16x16(const float* from, int64_t stride, float* to) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) a[r] = _mm512_loadu_ps(from + r * stride);
#pragma GCC unroll 8
  for (int r = 0; r < 16; r += 2) {
    b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
    b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < 16; r += 4) {
    const __m512d lo = _mm512_castps_pd(b[r]), hi = _mm512_castps_pd(b[r + 1]);
    const __m512d lo2 = _mm512_castps_pd(b[r + 2]), hi2 = _mm512_castps_pd(b[r + 3]);
    a[r] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, lo2));
    a[r + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, lo2));
    a[r + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi, hi2));
    a[r + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi, hi2));
  }
  // a[4 q + s] holds column 4 m + s of rows 4 q .. 4 q + 3 in its block m.
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) {
    const __m512 x = _mm512_shuffle_f32x4(a[s], a[4 + s], 0x88), y = _mm512_shuffle_f32x4(a[8 + s], a[12 + s], 0x88);
    const __m512 z = _mm512_shuffle_f32x4(a[s], a[4 + s], 0xDD), w = _mm512_shuffle_f32x4(a[8 + s], a[12 + s], 0xDD);
    _mm512_storeu_ps(to + s * 16, _mm512_shuffle_f32x4(x, y, 0x88));
    _mm512_storeu_ps(to + (4 + s) * 16, _mm512_shuffle_f32x4(z, w, 0x88));
    _mm512_storeu_ps(to + (8 + s) * 16, _mm512_shuffle_f32x4(x, y, 0xDD));
    _mm512_storeu_ps(to + (12 + s) * 16, _mm512_shuffle_f32x4(z, w, 0xDD));
  }
}

#else

AOT_INLINE void transpose_16x16(const float* from, int64_t stride, float* to) {
  for (int c = 0; c < 16; ++c)
    for (int r = 0; r < 16; ++r) to[c * 16 + r] = from[r * stride + c];
}

#endif

/// Panels [count / 16][dim][16] of `count` rows of `stride` numbers, stride >= round_up(dim, 16); count a multiple of 16, dim of 8.
inline void pack_panels(const float* rows, int64_t stride, int64_t count, int64_t dim, float* panels) {
  for (int64_t t = 0; t < count; t += kPanel, panels += dim * kPanel) {
    int64_t p = 0;
    for (; p + 16 <= dim; p += 16) transpose_16x16(rows + t * stride + p, stride, panels + p * kPanel);
    for (; p < dim; ++p)
      for (int64_t r = 0; r < kPanel; ++r) panels[p * kPanel + r] = rows[(t + r) * stride + p];
  }
}

}  // namespace
}  // namespace aot
