// SPDX-License-Identifier: Apache-2.0
// The one vector type of the kernels: as many floats as a register of this unit's instruction set holds. Included by the files of this
// folder only, which are compiled once per CpuPath. Everything is local to the unit: an inline function shared with the rest of the program
// could be the copy that the linker keeps, and crash an older processor. For the same reason no header of the standard library comes in.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define AOT_INLINE [[gnu::always_inline]] inline

namespace aot {
namespace {

constexpr float kLog2E = 1.44269504F;
constexpr float kInfinity = __builtin_inff();

#if defined(__AVX512F__)

constexpr int kLanes = 16;
struct Vec {
  __m512 v;
};
AOT_INLINE Vec set1(float x) {
  return {_mm512_set1_ps(x)};
}
AOT_INLINE Vec zero() {
  return {_mm512_setzero_ps()};
}
AOT_INLINE Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
AOT_INLINE void store(float* p, Vec a) {
  _mm512_storeu_ps(p, a.v);
}
AOT_INLINE __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xFFFF : (1U << n) - 1);
}
/// The first n lanes, 0 <= n; the others read as 0 and are not touched.
AOT_INLINE Vec load_first(const float* p, int64_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
AOT_INLINE void store_first(float* p, Vec a, int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}
/// Lanes from n on become 0.
AOT_INLINE Vec keep_first(Vec a, int64_t n) {
  return {_mm512_maskz_mov_ps(n <= 0 ? 0 : first_lanes(n), a.v)};
}
AOT_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
AOT_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
AOT_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
AOT_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
AOT_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
AOT_INLINE Vec fms(Vec a, Vec b, Vec c) {
  return {_mm512_fmsub_ps(a.v, b.v, c.v)};
}
AOT_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
AOT_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
/// -1 or 1; 0 and NaN stay what they are.
AOT_INLINE Vec sign(Vec a) {
  const __m512 unit = _mm512_or_ps(_mm512_set1_ps(1), _mm512_and_ps(a.v, _mm512_set1_ps(-0.0F)));
  return {_mm512_mask_mov_ps(a.v, _mm512_cmp_ps_mask(a.v, _mm512_setzero_ps(), _CMP_NEQ_OQ), unit)};
}
AOT_INLINE float sum(Vec a) {
  return _mm512_reduce_add_ps(a.v);
}
AOT_INLINE float largest(Vec a) {
  return _mm512_reduce_max_ps(a.v);
}
AOT_INLINE Vec round(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// p * 2^n where x >= -126 or x is NaN, else 0.
AOT_INLINE Vec scale_or_zero(Vec p, Vec n, Vec x) {
  const __mmask16 keep = _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(-126.0F), _CMP_NLT_UQ);
  return {_mm512_maskz_scalef_ps(keep, p.v, n.v)};
}
AOT_INLINE Vec load_bf16(const uint16_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))};
}
AOT_INLINE Vec load_first_bf16(const uint16_t* p, int64_t n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p)), 16))};
}
/// To the nearest bfloat16, ties to even; NaN stays NaN.
AOT_INLINE __m256i to_bf16(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7FC0)));
}
AOT_INLINE void store_bf16(uint16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(a));
}
AOT_INLINE void store_first_bf16(uint16_t* p, Vec a, int64_t n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), to_bf16(a));
}

#elif defined(__AVX2__)

constexpr int kLanes = 8;
struct Vec {
  __m256 v;
};
AOT_INLINE Vec set1(float x) {
  return {_mm256_set1_ps(x)};
}
AOT_INLINE Vec zero() {
  return {_mm256_setzero_ps()};
}
AOT_INLINE Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
AOT_INLINE void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.v);
}
AOT_INLINE __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 8 ? n : 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
AOT_INLINE Vec load_first(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, first_lanes(n))};
}
AOT_INLINE void store_first(float* p, Vec a, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), a.v);
}
AOT_INLINE Vec keep_first(Vec a, int64_t n) {
  return {_mm256_and_ps(a.v, _mm256_castsi256_ps(first_lanes(n < 0 ? 0 : n)))};
}
AOT_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
AOT_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
AOT_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
AOT_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
AOT_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
AOT_INLINE Vec fms(Vec a, Vec b, Vec c) {
  return {_mm256_fmsub_ps(a.v, b.v, c.v)};
}
AOT_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
AOT_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.v)};
}
AOT_INLINE Vec sign(Vec a) {
  const __m256 unit = _mm256_or_ps(_mm256_set1_ps(1), _mm256_and_ps(a.v, _mm256_set1_ps(-0.0F)));
  return {_mm256_blendv_ps(a.v, unit, _mm256_cmp_ps(a.v, _mm256_setzero_ps(), _CMP_NEQ_OQ))};
}
AOT_INLINE float sum(Vec a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
AOT_INLINE float largest(Vec a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
AOT_INLINE Vec round(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
AOT_INLINE Vec scale_or_zero(Vec p, Vec n, Vec x) {
  const __m256 keep = _mm256_cmp_ps(x.v, _mm256_set1_ps(-126.0F), _CMP_NLT_UQ);
  // Two factors, since 2^n alone overflows at n = 128 where p * 2^n may not.
  const __m256i whole = _mm256_cvtps_epi32(n.v), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
  const __m256 first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23));
  return {_mm256_and_ps(keep, _mm256_mul_ps(_mm256_mul_ps(p.v, first), second))};
}
AOT_INLINE Vec load_bf16(const uint16_t* p) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16))};
}
AOT_INLINE __m128i to_bf16(Vec a) {
  const __m256i bits = _mm256_castps_si256(a.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
  const __m256i wide = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7FC0), nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}
AOT_INLINE void store_bf16(uint16_t* p, Vec a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_bf16(a));
}

#else

constexpr int kLanes = 4;
struct Vec {
  typedef float Lanes __attribute__((vector_size(16), aligned(4)));
  typedef int32_t Ints __attribute__((vector_size(16), aligned(4)));
  Lanes v;
};
AOT_INLINE Vec set1(float x) {
  return {Vec::Lanes{x, x, x, x}};
}
AOT_INLINE Vec zero() {
  return set1(0);
}
AOT_INLINE Vec load(const float* p) {
  return {*reinterpret_cast<const Vec::Lanes*>(p)};
}
AOT_INLINE void store(float* p, Vec a) {
  *reinterpret_cast<Vec::Lanes*>(p) = a.v;
}
AOT_INLINE Vec load_first(const float* p, int64_t n) {
  Vec a = zero();
  for (int i = 0; i < 4 && i < n; ++i) a.v[i] = p[i];
  return a;
}
AOT_INLINE void store_first(float* p, Vec a, int64_t n) {
  for (int i = 0; i < 4 && i < n; ++i) p[i] = a.v[i];
}
AOT_INLINE Vec keep_first(Vec a, int64_t n) {
  for (int i = 0; i < 4; ++i) a.v[i] = i < n ? a.v[i] : 0.0F;
  return a;
}
AOT_INLINE Vec operator+(Vec a, Vec b) {
  return {a.v + b.v};
}
AOT_INLINE Vec operator-(Vec a, Vec b) {
  return {a.v - b.v};
}
AOT_INLINE Vec operator*(Vec a, Vec b) {
  return {a.v * b.v};
}
AOT_INLINE Vec operator/(Vec a, Vec b) {
  return {a.v / b.v};
}
AOT_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {a.v * b.v + c.v};
}
AOT_INLINE Vec fms(Vec a, Vec b, Vec c) {
  return {a.v * b.v - c.v};
}
AOT_INLINE Vec max(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
AOT_INLINE Vec sqrt(Vec a) {
  for (int i = 0; i < 4; ++i) a.v[i] = __builtin_sqrtf(a.v[i]);
  return a;
}
AOT_INLINE Vec sign(Vec a) {
  for (int i = 0; i < 4; ++i) a.v[i] = a.v[i] > 0 ? 1.0F : a.v[i] < 0 ? -1.0F : a.v[i];
  return a;
}
AOT_INLINE float sum(Vec a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
AOT_INLINE float largest(Vec a) {
  float m = a.v[0];
  for (int i = 1; i < 4; ++i) m = a.v[i] > m ? a.v[i] : m;
  return m;
}
AOT_INLINE Vec round(Vec a) {
  for (int i = 0; i < 4; ++i) a.v[i] = __builtin_rintf(a.v[i]);
  return a;
}
AOT_INLINE Vec scale_or_zero(Vec p, Vec n, Vec x) {
  for (int i = 0; i < 4; ++i) {
    const bool nan = x.v[i] != x.v[i];
    const int whole = x.v[i] >= -126.0F ? static_cast<int>(n.v[i]) : 0, half = whole >> 1;
    const Vec::Ints bits = {(half + 127) << 23, (whole - half + 127) << 23, 0, 0};
    const Vec::Lanes factors = reinterpret_cast<Vec::Lanes>(bits);
    p.v[i] = nan || x.v[i] >= -126.0F ? p.v[i] * factors[0] * factors[1] : 0.0F;
  }
  return p;
}
AOT_INLINE Vec load_bf16(const uint16_t* p) {
  const Vec::Ints bits = {p[0] << 16, p[1] << 16, p[2] << 16, p[3] << 16};
  return {reinterpret_cast<Vec::Lanes>(bits)};
}
AOT_INLINE void store_bf16(uint16_t* p, Vec a) {
  const Vec::Ints bits = reinterpret_cast<Vec::Ints>(a.v);
  for (int i = 0; i < 4; ++i) {
    const auto word = static_cast<uint32_t>(bits[i]);
    p[i] = a.v[i] != a.v[i] ? 0x7FC0 : static_cast<uint16_t>((word + 0x7FFF + ((word >> 16) & 1)) >> 16);
  }
}

#endif

#if !defined(__AVX512F__)
AOT_INLINE Vec load_first_bf16(const uint16_t* p, int64_t n) {
  if (n >= kLanes) return load_bf16(p);
  uint16_t whole[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) whole[i] = p[i];
  return load_bf16(whole);
}
AOT_INLINE void store_first_bf16(uint16_t* p, Vec a, int64_t n) {
  uint16_t whole[kLanes];
  store_bf16(whole, a);
  for (int64_t i = 0; i < n && i < kLanes; ++i) p[i] = whole[i];
}
#endif

/// 2^x for x < 128 within 1 ulp, 1.2 where multiplying and adding round apart; exactly 0 below -126, NaN for NaN.   x = n + f with
/// |f| <= 1/2; minimax polynomial of degree 6 for 2^f with relative error 4e-9 and the constant term exactly 1, so that 2^0 = 1.
AOT_INLINE Vec exp2(Vec x) {
  const Vec n = round(x), f = x - n;
  Vec p = set1(0.00015353362F);
  p = fma(p, f, set1(0.0013398875F));
  p = fma(p, f, set1(0.00961843692F));
  p = fma(p, f, set1(0.0555033237F));
  p = fma(p, f, set1(0.240226477F));
  p = fma(p, f, set1(0.693147182F));
  p = fma(p, f, set1(1.0F));
  return scale_or_zero(p, n, x);
}

// Loads and stores by element type, for kernels that are written once for both.
AOT_INLINE Vec load(const uint16_t* p) {
  return load_bf16(p);
}
AOT_INLINE Vec load_first(const uint16_t* p, int64_t n) {
  return load_first_bf16(p, n);
}
AOT_INLINE void store(uint16_t* p, Vec a) {
  store_bf16(p, a);
}
AOT_INLINE void store_first(uint16_t* p, Vec a, int64_t n) {
  store_first_bf16(p, a, n);
}

}  // namespace
}  // namespace aot
