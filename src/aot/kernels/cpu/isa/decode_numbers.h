// SPDX-License-Identifier: Apache-2.0
// Numbers of weights and caches, by their stored type.
#pragma once

#include "aot/kernels/cpu/decode.h"
#include "aot/kernels/cpu/isa/tile.h"

namespace aot {
namespace {

/// kLanes bytes as floats.
AOT_INLINE Vec load(const int8_t* p) {
#if defined(__AVX512F__)
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
#elif defined(__AVX2__)
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
#else
  return {Vec::Lanes{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]), static_cast<float>(p[3])}};
#endif
}

AOT_INLINE uint16_t to_bfloat16(float x) {
  uint16_t lanes[kLanes];
  store_bf16(lanes, set1(x));
  return lanes[0];
}

AOT_INLINE int8_t to_int8(float x) {  // |x| <= 127
  return static_cast<int8_t>(__builtin_rintf(x));
}

AOT_INLINE float magnitude(float x) {
  return x < 0 ? -x : x;
}

/// Of `count` numbers `stride` apart; NaN if one of them is.
inline float largest_magnitude(const float* from, int64_t stride, int64_t count) {
  float most = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float size = magnitude(from[i * stride]);
    if (size != size) return size;
    if (size > most) most = size;
  }
  return most;
}

/// The int8 scale of numbers whose largest magnitude is `most`: NaN for what is not finite, so that it is not lost; 0 for zeros, and for
/// numbers so small that 127 / most overflows.
AOT_INLINE float int8_scale(float most) {
  if (most < 1e-36F) return 0;
  return most <= 3.0e38F ? most / 127 : __builtin_nanf("");
}

/// `count` numbers, `stride` apart, to places `at`, `at` + step, ... of `numbers` in its format; int8: their scale to `scale`.
AOT_INLINE void store_row(const float* from, int64_t stride, int64_t count, NumberFormat format, void* numbers, int64_t at, int64_t step,
                          float* scale) {
  const auto store_all = [&](auto* to, const auto& convert) {
    to += at;
    for (int64_t i = 0; i < count; ++i) to[i * step] = convert(from[i * stride]);
  };
  switch (format) {
    case NumberFormat::float32:
      return store_all(static_cast<float*>(numbers), [](float x) { return x; });
    case NumberFormat::bfloat16:
      return store_all(static_cast<uint16_t*>(numbers), to_bfloat16);
    case NumberFormat::int8: {
      const float most = largest_magnitude(from, stride, count);
      *scale = int8_scale(most);
      const float inverse = *scale > 0 ? 127 / most : 0;
      return store_all(static_cast<int8_t*>(numbers), [&](float x) { return inverse > 0 ? to_int8(x * inverse) : static_cast<int8_t>(0); });
    }
  }
}

AOT_INLINE Vec exp(Vec x) {
  return exp2(x * set1(kLog2E));
}

/// Calls body(const Number*) with the stored type of `format`.
template <class Body>
AOT_INLINE void with_format(NumberFormat format, const void* data, const Body& body) {
  switch (format) {
    case NumberFormat::float32:
      return body(static_cast<const float*>(data));
    case NumberFormat::bfloat16:
      return body(static_cast<const uint16_t*>(data));
    case NumberFormat::int8:
      return body(static_cast<const int8_t*>(data));
  }
}

}  // namespace
}  // namespace aot
