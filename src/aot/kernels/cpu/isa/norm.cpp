// SPDX-License-Identifier: Apache-2.0
// Several passes over a row: it is in the first-level cache after the first one.
#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

template <class T>
AOT_INLINE void normalise(const NormParams& p, const T* z, Statistics s, T* x) {
  normalise(z, p.width, s, p.weight, p.bias, x);
}

template <class T>
void forward_rows(const NormParams& p, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* z = static_cast<const T*>(p.z) + row * p.width;
    const Statistics s = statistics_of(z, p.width, p.centred, p.epsilon);
    if (p.statistics != nullptr) {
      p.statistics[2 * row] = s.mean;
      p.statistics[2 * row + 1] = s.rstd;
    }
    normalise(p, z, s, static_cast<T*>(p.x) + row * p.width);
  }
}

template <class T>
void rows_again(const NormParams& p, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    normalise(p, static_cast<const T*>(p.z) + row * p.width, {p.statistics[2 * row], p.statistics[2 * row + 1]},
              static_cast<T*>(p.x) + row * p.width);
}

/// With u = (z - mean) rstd and g = d_x weight:   dz = rstd (g - mean(g) - u mean(g u)) + d_skip, without mean(g) when not centred.
template <class T>
AOT_INLINE void backward_row(const NormParams& p, int64_t row, float* d_weight, float* d_bias) {
  const T *z = static_cast<const T*>(p.z) + row * p.width, *d_x = static_cast<const T*>(p.d_x) + row * p.width;
  const Vec mean = set1(p.statistics[2 * row]), rstd = set1(p.statistics[2 * row + 1]);
  Vec g_sum = zero(), gu_sum = zero();
  for_each_vector(p.width, [&](int64_t i, int64_t lanes) {
    const Vec u = (read(z + i, lanes) - mean) * rstd, d = read(d_x + i, lanes), g = d * read(p.weight + i, lanes);
    g_sum = g_sum + g;
    gu_sum = fma(g, keep_first(u, lanes), gu_sum);
    write(d_weight + i, fma(d, u, read(d_weight + i, lanes)), lanes);
    write(d_bias + i, d + read(d_bias + i, lanes), lanes);
  });
  const float share = 1.0F / static_cast<float>(p.width);
  const Vec g_mean = set1(p.centred ? sum(g_sum) * share : 0.0F), gu_mean = set1(sum(gu_sum) * share);
  const T* d_skip = p.d_skip != nullptr ? static_cast<const T*>(p.d_skip) + row * p.width : nullptr;
  T* dz = static_cast<T*>(p.dz) + row * p.width;
  for_each_vector(p.width, [&](int64_t i, int64_t lanes) {
    const Vec u = (read(z + i, lanes) - mean) * rstd, g = read(d_x + i, lanes) * read(p.weight + i, lanes);
    const Vec d = (g - g_mean - u * gu_mean) * rstd;
    write(dz + i, d_skip != nullptr ? d + read(d_skip + i, lanes) : d, lanes);
  });
}

template <class T>
void backward_parts(const NormParams& p, int64_t parts, int64_t begin, int64_t end) {
  for (int64_t part = begin; part < end; ++part) {
    float *d_weight = p.partial + 2 * part * p.width, *d_bias = d_weight + p.width;
    for (int64_t i = 0; i < 2 * p.width; ++i) d_weight[i] = 0;
    for (int64_t row = part * p.rows / parts; row < (part + 1) * p.rows / parts; ++row) backward_row<T>(p, row, d_weight, d_bias);
  }
}

}  // namespace

namespace AOT_ISA {

void norm_forward(const NormParams& params, int64_t begin, int64_t end) {
  params.bfloat16 ? forward_rows<uint16_t>(params, begin, end) : forward_rows<float>(params, begin, end);
}

void norm_again(const NormParams& params, int64_t begin, int64_t end) {
  params.bfloat16 ? rows_again<uint16_t>(params, begin, end) : rows_again<float>(params, begin, end);
}

void norm_backward(const NormParams& params, int64_t parts, int64_t begin, int64_t end) {
  params.bfloat16 ? backward_parts<uint16_t>(params, parts, begin, end) : backward_parts<float>(params, parts, begin, end);
}

}  // namespace AOT_ISA
}  // namespace aot
