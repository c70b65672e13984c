// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/optimizer.h"

#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

AOT_INLINE int64_t end_of_block(int64_t block, int64_t size) {
  const int64_t end = (block + 1) * kOptimizerBlock;
  return end < size ? end : size;
}

/// Eight sums, whatever the width of a register, so that every path adds in the same order.
double square_sum(const float* data, int64_t size) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8)
    for (int64_t j = 0; j < 8; ++j) sums[j] += static_cast<double>(data[i + j]) * static_cast<double>(data[i + j]);
  for (; i < size; ++i) sums[0] += static_cast<double>(data[i]) * static_cast<double>(data[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// The pass over a range of blocks. `rule(i, lanes, w, g)` gives the new values of the parameters from i on and updates their moments, from
/// their values and scaled gradients.
template <class Rule>
AOT_INLINE void update(const UpdateParams& p, int64_t begin, int64_t end, const Rule& rule) {
  const Vec scale = set1(p.gradient_scale), rate = set1(p.average_rate);
  float *const value = p.value, *const gradient = p.gradient, *const average = p.average;
  const int64_t start = begin * kOptimizerBlock;
  for_each_vector(end_of_block(end - 1, p.size) - start, [&](int64_t offset, int64_t lanes) {
    const int64_t i = start + offset;
    const Vec w = rule(i, lanes, read(value + i, lanes), read(gradient + i, lanes) * scale);
    write(value + i, w, lanes);
    write(gradient + i, zero(), lanes);
    if (average == nullptr) return;
    const Vec a = read(average + i, lanes);
    write(average + i, fma(rate, w - a, a), lanes);
  });
}

}  // namespace

namespace AOT_ISA {

void square_sums(const float* data, int64_t size, double* sums, int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block) {
    const int64_t first = block * kOptimizerBlock;
    sums[block] = square_sum(data + first, end_of_block(block, size) - first);
  }
}

void adamw(const UpdateParams& p, int64_t begin, int64_t end) {
  const Vec keep = set1(p.keep), beta1 = set1(p.beta1), rest1 = set1(1 - p.beta1), beta2 = set1(p.beta2), rest2 = set1(1 - p.beta2);
  const Vec rate = set1(p.rate), root_scale = set1(p.root_scale), epsilon = set1(p.epsilon);
  float *const first = p.first, *const second = p.second;
  update(p, begin, end, [&](int64_t i, int64_t lanes, Vec w, Vec g) {
    const Vec m = fma(beta1, read(first + i, lanes), rest1 * g);
    const Vec v = fma(beta2, read(second + i, lanes), rest2 * g * g);
    write(first + i, m, lanes);
    write(second + i, v, lanes);
    return fms(keep, w, rate * m / fma(sqrt(v), root_scale, epsilon));
  });
}

void lion(const UpdateParams& p, int64_t begin, int64_t end) {
  const Vec keep = set1(p.keep), beta1 = set1(p.beta1), rest1 = set1(1 - p.beta1), beta2 = set1(p.beta2), rest2 = set1(1 - p.beta2);
  const Vec rate = set1(p.rate);
  float* const first = p.first;
  update(p, begin, end, [&](int64_t i, int64_t lanes, Vec w, Vec g) {
    const Vec m = read(first + i, lanes);
    write(first + i, fma(beta2, m, rest2 * g), lanes);
    return fms(keep, w, rate * sign(fma(beta1, m, rest1 * g)));
  });
}

}  // namespace AOT_ISA
}  // namespace aot
