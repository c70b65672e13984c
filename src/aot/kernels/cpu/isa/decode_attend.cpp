// SPDX-License-Identifier: Apache-2.0
// One query over a cache of panels: scores of 16 tokens at once, then the same panels again, from the first-level cache, for the values.
//
// The stabiliser is the largest score met so far, but follows it only in leaps of `slack` powers of 2: the sums are far from overflow,
// nothing above 2^-126 of the largest weight is lost, and the accumulators are almost never scaled. The norms' bound (docs/kernels.md)
// is not needed, since a group's scores are in registers before the first weight is.
#include "aot/kernels/cpu/isa/decode_numbers.h"
#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace {

constexpr int kVecs = static_cast<int>(kCachePanel) / kLanes;  // of a panel's row
constexpr int kGroup = kVecs < 4 ? 4 / kVecs : 1;              // panels at once: four vectors of scores

struct Running {
  float stabiliser = -kInfinity;
  Vec sums[kVecs];  // of the weights, lane by lane
};

/// Panels `panel` .. `panel` + C - 1 added to the accumulators acc (dim, 16).
template <int C, class Number>
AOT_INLINE void add_panels(const AttendParams& p, const Number* keys, const Number* values, int64_t panel, const float* turned, float* acc,
                           Running& running) {
  const CacheView& cache = p.cache;
  const int64_t dim = cache.dim, size = dim * kCachePanel, first = panel * kCachePanel;
  const float* query[C];
  for (int c = 0; c < C; ++c) query[c] = p.q;
  if (cache.cos != nullptr)
    for (int c = 0; c < C; ++c) {
      float* to = const_cast<float*>(turned) + c * ((dim + 15) / 16 * 16);
      const int64_t distance = p.tokens - 1 - (first + c * kCachePanel);
      turn_row(p.q, cache.cos + distance * (dim / 2), cache.sin + distance * (dim / 2), dim, false, to);
      query[c] = to;
    }

  Vec score[C][kVecs];
  clear(score);
  const Number* key = keys + panel * size;
#pragma GCC unroll 4
  for (int64_t i = 0; i < dim; ++i)
    for (int c = 0; c < C; ++c) {
      const Vec q = set1(query[c][i]);
      for (int v = 0; v < kVecs; ++v) score[c][v] = fma(q, load(key + c * size + i * kCachePanel + v * kLanes), score[c][v]);
    }

  const Vec factor = set1(p.scale * kLog2E);
  Vec most = set1(-kInfinity);
  for (int c = 0; c < C; ++c)
    for (int v = 0; v < kVecs; ++v) {
      const int64_t at = first + c * kCachePanel + v * kLanes;
      Vec s = score[c][v] * factor;
      if (cache.key_scales != nullptr) s = s * load(cache.key_scales + p.head * cache.tokens + at);
      if (at + kLanes > p.end) {  // lanes that hold no token
        float lanes[kLanes];
        store(lanes, s);
        for (int64_t l = larger(p.end - at, 0); l < kLanes; ++l) lanes[l] = -kInfinity;
        s = load(lanes);
      }
      score[c][v] = s;
      most = max(most, s);
    }
  const float top = largest(most);
  if (top > running.stabiliser + p.slack) {
    const Vec shrink = exp2(set1(running.stabiliser - top));
    running.stabiliser = top;
    for (int v = 0; v < kVecs; ++v) running.sums[v] = running.sums[v] * shrink;
    for (int64_t i = 0; i < size; i += kLanes) store(acc + i, load(acc + i) * shrink);
  }

  for (int c = 0; c < C; ++c)
    for (int v = 0; v < kVecs; ++v) {
      Vec weight = exp2(score[c][v] - set1(running.stabiliser));
      running.sums[v] = running.sums[v] + weight;
      // Lanes without a token may hold anything, and 0 times that may be NaN: their values are dropped below.
      if (cache.value_scales != nullptr)
        weight = weight * keep_first(load(cache.value_scales + p.head * cache.tokens + first + c * kCachePanel + v * kLanes),
                                     p.end - (first + c * kCachePanel + v * kLanes));
      score[c][v] = weight;
    }
  const Number* value = values + panel * size;
  const bool partly = first + C * kCachePanel > p.end;
#pragma GCC unroll 2
  for (int64_t i = 0; i < dim; ++i)
    for (int v = 0; v < kVecs; ++v) {
      Vec sum_of_lane = load(acc + i * kCachePanel + v * kLanes);
      for (int c = 0; c < C; ++c) {
        Vec x = load(value + c * size + i * kCachePanel + v * kLanes);
        if (partly) x = keep_first(x, p.end - (first + c * kCachePanel + v * kLanes));
        sum_of_lane = fma(score[c][v], x, sum_of_lane);
      }
      store(acc + i * kCachePanel + v * kLanes, sum_of_lane);
    }
}

/// Lane l of the accumulators turned back by l, since the rows in that lane were turned by l.
AOT_INLINE void turn_back(const CacheView& cache, float* acc) {
  const int64_t half = cache.dim / 2;
  for (int64_t i = 0; i < half; ++i)
    for (int64_t l = 0; l < kCachePanel; ++l) {
      const float c = cache.cos[l * half + i], s = cache.sin[l * half + i];
      float &x = acc[i * kCachePanel + l], &y = acc[(half + i) * kCachePanel + l];
      const float back = x * c + y * s;
      y = y * c - x * s;
      x = back;
    }
}

template <class Number>
inline void attend(const AttendParams& p, const Number* keys) {
  const CacheView& cache = p.cache;
  const int64_t dim = cache.dim, head_size = cache.tokens * dim;
  const Number* values = static_cast<const Number*>(cache.values) + p.head * head_size;
  keys += p.head * head_size;
  float *acc = p.scratch, *turned = acc + dim * kCachePanel;
  Running running;
  for (int v = 0; v < kVecs; ++v) running.sums[v] = zero();
  for (int64_t i = 0; i < dim * kCachePanel; i += kLanes) store(acc + i, zero());

  int64_t panel = p.begin / kCachePanel;
  const int64_t last = (p.end + kCachePanel - 1) / kCachePanel;
  for (; panel + kGroup <= last; panel += kGroup) add_panels<kGroup>(p, keys, values, panel, turned, acc, running);
  for (; panel < last; ++panel) add_panels<1>(p, keys, values, panel, turned, acc, running);

  Vec sums = running.sums[0];
  for (int v = 1; v < kVecs; ++v) sums = sums + running.sums[v];
  const float total = sum(sums), share = 1 / total;
  if (p.log_sum != nullptr) *p.log_sum = running.stabiliser + __builtin_log2f(total);
  if (cache.cos != nullptr && cache.values == cache.keys) turn_back(cache, acc);
  for (int64_t i = 0; i < dim; ++i) {
    Vec all = load(acc + i * kCachePanel);
    for (int v = 1; v < kVecs; ++v) all = all + load(acc + i * kCachePanel + v * kLanes);
    p.out[i] = sum(all) * share;
  }
}

/// One row into lane token % 16 of its panel.
void put(const CacheView& cache, const float* row, void* panels, float* scales, int64_t head, int64_t token) {
  const int64_t at = (head * cache.tokens + token / kCachePanel * kCachePanel) * cache.dim + token % kCachePanel;
  float* scale = scales != nullptr ? scales + head * cache.tokens + token : nullptr;
  store_row(row, 1, cache.dim, cache.format, panels, at, kCachePanel, scale);
}

}  // namespace

namespace AOT_ISA {

void decode_append(const CacheView& cache, int64_t head, int64_t token, const float* key, const float* value, float* scratch) {
  if (cache.cos != nullptr) {
    const int64_t lane = token % kCachePanel * (cache.dim / 2);
    turn_row(key, cache.cos + lane, cache.sin + lane, cache.dim, false, scratch);
    key = scratch;
  }
  put(cache, key, cache.keys, cache.key_scales, head, token);
  if (cache.values != cache.keys) put(cache, value, cache.values, cache.value_scales, head, token);
}

void decode_attend(const AttendParams& params) {
  with_format(params.cache.format, params.cache.keys, [&](const auto* keys) { attend(params, keys); });
}

void decode_merge(const float* parts_out, const float* log_sums, int64_t parts, int64_t dim, float* out) {
  float most = log_sums[0];
  for (int64_t part = 1; part < parts; ++part) most = log_sums[part] > most ? log_sums[part] : most;
  float total = 0;
  for (int64_t i = 0; i < dim; ++i) out[i] = 0;
  for (int64_t part = 0; part < parts; ++part) {
    float lanes[kLanes];
    store(lanes, exp2(set1(log_sums[part] - most)));
    total += lanes[0];
    for (int64_t i = 0; i < dim; ++i) out[i] += lanes[0] * parts_out[part * dim + i];
  }
  for (int64_t i = 0; i < dim; ++i) out[i] /= total;
}

}  // namespace AOT_ISA
}  // namespace aot
