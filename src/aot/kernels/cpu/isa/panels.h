// SPDX-License-Identifier: Apache-2.0
// Lines of a matrix to panels of 16, from any strides: [line / 16][k][16] in float32, or [line / 16][k / 2][16][2] in bfloat16 for the
// processor's dot instruction. Zeros stand behind the last line and the last k.
#pragma once

#include "aot/kernels/cpu/isa/transpose.h"

namespace aot {
namespace {

AOT_INLINE float as_float(float x) {
  return x;
}
AOT_INLINE float as_float(uint16_t x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

AOT_INLINE void transpose_lines(const float* from, int64_t line, float* to) {
  transpose_16x16(from, line, to);
}
AOT_INLINE void transpose_lines(const uint16_t* from, int64_t line, float* to) {
  float wide[16 * 16];
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 16; i += kLanes) store(wide + r * 16 + i, load(from + r * line + i));
  transpose_16x16(wide, 16, to);
}

// Pieces of rows that lie far apart are not foreseen by the processor: they are asked for this many rows ahead.
constexpr int64_t kRowsAhead = 16;

template <class Number>
AOT_INLINE void prefetch_piece(const Number* from, int64_t count) {
  for (int64_t c = 0; c < count; c += 64 / static_cast<int64_t>(sizeof(Number))) __builtin_prefetch(from + c);
}

/// `count` lines that lie `line` apart, their elements `step` apart.
template <class Number>
inline void pack_lines(const Number* from, int64_t line, int64_t step, int64_t count, int64_t depth, float* to) {
  if (line == 1) {
    // Elements of neighbouring lines are neighbours: long pieces are read, one for each k.
    const int64_t whole = count / kPanel * kPanel;
    for (int64_t k = 0; k < depth; ++k, from += step, to += kPanel) {
      if (k + kRowsAhead < depth) prefetch_piece(from + kRowsAhead * step, count);
      for (int64_t c = 0; c < whole; c += kPanel)
        for (int64_t i = 0; i < kPanel; i += kLanes) store(to + c * depth + i, load(from + c + i));
      for (int64_t i = 0; whole < count && i < kPanel; i += kLanes)
        store(to + whole * depth + i, load_first(from + whole + i, larger(count - whole - i, 0)));
    }
    return;
  }
  for (; count > 0; count -= kPanel, from += kPanel * line, to += kPanel * depth) {
    int64_t k = 0;
    if (step == 1 && count >= kPanel)
      for (; k + 16 <= depth; k += 16) transpose_lines(from + k, line, to + k * kPanel);
    for (; k < depth; ++k)
      for (int64_t c = 0; c < kPanel; ++c) to[k * kPanel + c] = c < count ? as_float(from[k * step + c * line]) : 0;
  }
}

#if defined(__AVX512BF16__)

/// Neighbours in depth side by side, as the dot instruction takes them; an odd depth ends with a zero.
inline void pack_pairs(const uint16_t* from, int64_t line, int64_t step, int64_t count, int64_t depth, uint16_t* to) {
  const int64_t padded = round_up(depth, 2);
  if (line == 1) {
    for (int64_t k = 0; k < depth; k += 2, from += 2 * step, to += 2 * kPanel) {
      if (k + kRowsAhead + 1 < depth) {
        prefetch_piece(from + kRowsAhead * step, count);
        prefetch_piece(from + (kRowsAhead + 1) * step, count);
      }
      for (int64_t c = 0; c < count; c += kPanel) {
        const __mmask16 mask = first_lanes(count - c);
        const __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + c));
        const __m512i odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(k + 1 < depth ? mask : 0, from + step + c));
        _mm512_storeu_si512(to + c * padded, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
      }
    }
    return;
  }
  for (; count > 0; count -= kPanel, from += kPanel * line, to += kPanel * padded) {
    int64_t k = 0;
    if (step == 1 && count >= kPanel)
      for (; k + 32 <= depth; k += 32) {
        float words[16 * 16], turned[16 * 16];  // moved only, never computed with
        for (int r = 0; r < 16; ++r) __builtin_memcpy(words + r * 16, from + r * line + k, 64);
        transpose_16x16(words, 16, turned);
        __builtin_memcpy(to + k * kPanel, turned, sizeof turned);
      }
    for (; k < padded; ++k)
      for (int64_t c = 0; c < kPanel; ++c) to[(k / 2 * kPanel + c) * 2 + k % 2] = c < count && k < depth ? from[k * step + c * line] : 0;
  }
}

#endif

}  // namespace
}  // namespace aot
