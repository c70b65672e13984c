// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/adamw.h"

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

struct Updated {
  Vec value, first, second;
};

/// Constants of AdamWParams, one in each lane.
struct Constants {
  Vec scale, keep, beta1, rest1, beta2, rest2, rate, root_scale, epsilon;
};

AOT_INLINE Updated update(const Constants& c, Vec w, Vec g, Vec m, Vec v) {
  g = g * c.scale;
  m = fma(c.beta1, m, c.rest1 * g);
  v = fma(c.beta2, v, c.rest2 * g * g);
  return {fms(c.keep, w, c.rate * m / fma(sqrt(v), c.root_scale, c.epsilon)), m, v};
}

}  // namespace

namespace AOT_ISA {

void square_sums(const float* data, int64_t size, double* sums, int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block) {
    const int64_t first = block * kOptimizerBlock;
    sums[block] = square_sum(data + first, end_of_block(block, size) - first);
  }
}

void adamw(const AdamWParams& p, int64_t begin, int64_t end) {
  const Constants c{set1(p.gradient_scale), set1(p.keep), set1(p.beta1),      set1(1 - p.beta1), set1(p.beta2),
                    set1(1 - p.beta2),      set1(p.rate), set1(p.root_scale), set1(p.epsilon)};
  const int64_t start = begin * kOptimizerBlock;
  float *value = p.value + start, *gradient = p.gradient + start, *first = p.first + start, *second = p.second + start;
  for_each_vector(end_of_block(end - 1, p.size) - start, [&](int64_t i, int64_t lanes) {
    const Updated u = update(c, read(value + i, lanes), read(gradient + i, lanes), read(first + i, lanes), read(second + i, lanes));
    write(value + i, u.value, lanes);
    write(first + i, u.first, lanes);
    write(second + i, u.second, lanes);
    write(gradient + i, zero(), lanes);
  });
}

}  // namespace AOT_ISA
}  // namespace aot
