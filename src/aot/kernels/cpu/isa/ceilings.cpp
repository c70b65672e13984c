// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/isa/units.h"
#include "aot/kernels/cpu/isa/vector.h"

namespace aot {
namespace {

// Independent sums: as many as hide the latency of an addition and fit in the registers beside the two factors.
#if defined(__AVX512F__)
constexpr int kSums = 24;
#else
constexpr int kSums = 12;
#endif

}  // namespace

namespace AOT_ISA {

int64_t multiply_add_loop(int64_t rounds, float* sink) {
  const Vec factor = set1(0.5F), term = set1(*sink);
  Vec sums[kSums];
  for (Vec& each : sums) each = term;
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
    for (int s = 0; s < kSums; ++s) sums[s] = fma(sums[s], factor, term);
  Vec total = zero();
  for (const Vec& each : sums) total = total + each;
  *sink = sum(total);
  return rounds * kSums * kLanes * 2;
}

int64_t bfloat16_dot_loop([[maybe_unused]] int64_t rounds, [[maybe_unused]] float* sink) {
#if defined(__AVX512BF16__)
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(*sink), _mm512_set1_ps(0.5F));
  __m512 sums[kSums];
  for (__m512& each : sums) each = _mm512_set1_ps(*sink);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_dpbf16_ps(sums[s], a, a);
  Vec total = zero();
  for (const __m512& each : sums) total = total + Vec{each};
  *sink = sum(total);
  return rounds * kSums * 32 * 2;
#else
  return 0;
#endif
}

float read_loop(const float* numbers, int64_t count) {
  Vec sums[8];
  for (Vec& each : sums) each = zero();
  for (const float* end = numbers + count; numbers < end; numbers += 8 * kLanes)
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) sums[s] = sums[s] + load(numbers + s * kLanes);
  Vec total = zero();
  for (const Vec& each : sums) total = total + each;
  return sum(total);
}

}  // namespace AOT_ISA
}  // namespace aot
