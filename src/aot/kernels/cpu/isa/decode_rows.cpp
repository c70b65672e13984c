// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/decode.h"

#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace AOT_ISA {

void decode_norm(NormFormula formula, const float* z, const float* weight, const float* bias, float epsilon, int64_t width, float* out) {
  const bool none = formula == NormFormula::none;
  normalise(z, width, none ? Statistics{0, 1} : statistics_of(z, width, formula == NormFormula::layer, epsilon), weight, bias, out);
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
