// SPDX-License-Identifier: Apache-2.0
// A row of logits is read three times, from the second-level cache after the first: for its maximum and mean, for the exponentials and
// their sum, and for the gradient.
#include "aot/kernels/cpu/cross_entropy.h"

#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

constexpr float kLogOf2 = 0.693147181F;

struct Extent {
  float largest, mean;
};

inline Extent extent_of(const float* z, int64_t n) {
  Vec most = set1(z[0]), total = zero();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vec x = load(z + i);
    most = max(most, x);
    total = total + x;
  }
  Extent out{largest(most), sum(total + load_first(z + i, n - i))};
  for (; i < n; ++i) out.largest = z[i] > out.largest ? z[i] : out.largest;
  out.mean /= static_cast<float>(n);
  return out;
}

/// sum_v exp(z_v - largest); the terms take the place of z when `keep`.
template <bool keep>
AOT_INLINE float sum_of_exponentials(float* z, int64_t n, float largest_z) {
  const Vec shift = set1(largest_z), factor = set1(kLog2E);
  Vec total = zero();
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    // The difference first: it is exact where the term counts, while z log2(e) alone would round away what a large z holds.
    const Vec term = keep_first(exp2((read(z + i, lanes) - shift) * factor), lanes);
    total = total + term;
    if (keep) write(z + i, term, lanes);
  });
  return sum(total);
}

template <class Number>
AOT_INLINE void store_gradient(const float* exponentials, int64_t n, float factor, float subtracted, Number* to) {
  const Vec f = set1(factor), s = set1(subtracted);
  for_each_vector(n, [&](int64_t i, int64_t lanes) { write(to + i, fms(read(exponentials + i, lanes), f, s), lanes); });
}

/// The one element that the target changes, from float32 as the others are.
AOT_INLINE void store_one(float x, float* to) {
  *to = x;
}
AOT_INLINE void store_one(float x, uint16_t* to) {
  store_first(to, set1(x), 1);
}

/// What the losses of a row are made of.
struct RowSums {
  float total, lse;  // sum of the exponentials of differences from the largest logit; log of the sum of all exponentials
};

template <class Number>
inline void store_row(const CrossEntropyParams& p, int64_t row, const RowSums& sums) {
  const int64_t n = p.vocab, target = p.targets[row];
  const float* exponentials = p.logits + row * n;
  Number* to = static_cast<Number*>(p.gradient) + row * n;
  if (target < 0) {
    for (int64_t i = 0; i < n; ++i) to[i] = 0;
    return;
  }
  const float factor = p.weight * (1 + 2 * p.z_loss * sums.lse) / sums.total;
  const float spread = p.weight * p.label_smoothing / static_cast<float>(n);
  const float at_target = exponentials[target] * factor - spread - p.weight * (1 - p.label_smoothing);
  store_gradient(exponentials, n, factor, spread, to);
  store_one(at_target, to + target);
}

inline RowSums loss_of_row(const CrossEntropyParams& p, int64_t row) {
  float* z = p.logits + row * p.vocab;
  const float of_target = z[p.targets[row]];
  const Extent extent = extent_of(z, p.vocab);
  const float total = p.gradient != nullptr ? sum_of_exponentials<true>(z, p.vocab, extent.largest)
                                            : sum_of_exponentials<false>(z, p.vocab, extent.largest);
  const float log_total = kLogOf2 * __builtin_log2f(total), lse = extent.largest + log_total;
  // Differences from the largest logit first: they stay exact where logits are large and close to each other.
  const float to_target = extent.largest - of_target, to_mean = extent.largest - extent.mean, s = p.label_smoothing;
  p.losses[row] = (s == 0 ? to_target : (1 - s) * to_target + s * to_mean) + log_total + (p.z_loss == 0 ? 0 : p.z_loss * lse * lse);
  return {total, lse};
}

}  // namespace

namespace AOT_ISA {

void cross_entropy_rows(const CrossEntropyParams& params, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    RowSums sums{};
    if (params.targets[row] >= 0)
      sums = loss_of_row(params, row);
    else
      params.losses[row] = 0;
    if (params.gradient == nullptr) continue;
    if (params.bfloat16)
      store_row<uint16_t>(params, row, sums);
    else
      store_row<float>(params, row, sums);
  }
}

}  // namespace AOT_ISA
}  // namespace aot
