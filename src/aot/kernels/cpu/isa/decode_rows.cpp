// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/isa/decode_numbers.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

AOT_INLINE float sum_of(const float* z, int64_t width) {
  Vec total = zero();
  for (int64_t i = 0; i < width; i += kLanes) total = total + load_first(z + i, width - i);
  return sum(total);
}

AOT_INLINE float squares_of(const float* z, float mean, int64_t width) {
  Vec total = zero();
  for (int64_t i = 0; i < width; i += kLanes) {
    const Vec x = keep_first(load_first(z + i, width - i) - set1(mean), width - i);
    total = fma(x, x, total);
  }
  return sum(total);
}

}  // namespace

namespace AOT_ISA {

void decode_norm(NormFormula formula, const float* z, const float* weight, const float* bias, float epsilon, int64_t width, float* out) {
  float mean = 0, factor = 1;
  if (formula != NormFormula::none) {
    const auto count = static_cast<float>(width);
    if (formula == NormFormula::layer) mean = sum_of(z, width) / count;
    factor = 1 / __builtin_sqrtf(squares_of(z, mean, width) / count + epsilon);
  }
  for (int64_t i = 0; i < width; i += kLanes) {
    const int64_t n = width - i;
    Vec x = (load_first(z + i, n) - set1(mean)) * set1(factor);
    if (weight != nullptr) x = x * load_first(weight + i, n);
    if (bias != nullptr) x = x + load_first(bias + i, n);
    store_first(out + i, x, n);
  }
}

Best decode_best(const float* values, int64_t count) {
  Vec most = set1(-kInfinity), check = zero();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec x = load(values + i);
    most = max(most, x);
    check = check + max(zero(), x) * zero();  // NaN for NaN, which max keeps on its right, and for +infinity; 0 for all else
  }
  float top = largest(most), rest = 0;
  for (; i < count; ++i) {
    if (values[i] > top) top = values[i];
    rest += (values[i] < 0 ? 0 : values[i]) * 0;
  }
  const bool usable = sum(check) + rest == 0;
  if (!usable || top == -kInfinity) return {.index = 0, .value = top, .usable = false};
  int64_t index = 0;
  while (values[index] != top) ++index;
  return {.index = index, .value = top, .usable = true};
}

}  // namespace AOT_ISA
}  // namespace aot
