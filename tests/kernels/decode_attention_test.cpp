// SPDX-License-Identifier: Apache-2.0
// One query over a cache against float64, with LibTorch's own float32 error as the yardstick.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <vector>

#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>

#include "aot/kernels/cpu/decode.h"
#include "tests/kernels/numbers.h"
#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr NumberFormat kFormats[] = {NumberFormat::float32, NumberFormat::bfloat16, NumberFormat::int8};

struct AttentionCase {
  int64_t dim, tokens;
  bool two, rotary;  // caches; positions
  NumberFormat format = NumberFormat::float32;
  double size = 1;  // of queries and keys
  int64_t parts = 1;
};

std::ostream& operator<<(std::ostream& out, const AttentionCase& c) {
  return out << name_of(cpu_path()) << ", P = " << c.dim << ", T = " << c.tokens << (c.two ? ", two caches" : "")
             << (c.rotary ? ", rotary" : "") << ", format " << static_cast<int>(c.format) << ", norms x " << c.size << ", " << c.parts
             << " parts";
}

using Numbers = std::vector<double>;

/// `row` turned by position `at`.
Numbers turned(const Numbers& row, bool rotary, int64_t at) {
  if (!rotary) return row;
  const size_t half = row.size() / 2;
  Numbers out = row;
  for (size_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(at) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
    out[i] = row[i] * std::cos(angle) - row[half + i] * std::sin(angle);
    out[half + i] = row[half + i] * std::cos(angle) + row[i] * std::sin(angle);
  }
  return out;
}

/// A cache of two heads with its own memory, of which the second is used; lanes that hold no token are NaN.
struct TestCache {
  TestCache(NumberFormat format, int64_t dim, int64_t room, bool two, bool rotary) {
    view = {.format = format, .heads = 2, .dim = dim, .tokens = room};
    for (auto& memory : {&key_memory, &value_memory})
      memory->assign(static_cast<size_t>(2 * room * dim * bytes_of(format)), std::byte{0xFF});
    for (auto& scales : {&key_scales, &value_scales}) scales->assign(static_cast<size_t>(2 * room), kNaN);
    view.keys = key_memory.data();
    view.values = two ? value_memory.data() : key_memory.data();
    if (format == NumberFormat::int8) {
      view.key_scales = key_scales.data();
      view.value_scales = two ? value_scales.data() : key_scales.data();
    }
    if (!rotary) return;
    for (int64_t t = 0; t < room; ++t)
      for (int64_t i = 0; i < dim / 2; ++i) {
        const double angle = static_cast<double>(t) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    view.cos = cos.data();
    view.sin = sin.data();
  }

  /// Row `token` of the second head as it is stored.
  [[nodiscard]] Numbers stored(const void* numbers, const float* scales, int64_t token) const {
    Numbers out;
    for (int64_t i = 0; i < view.dim; ++i) {
      const int64_t at = (view.tokens + token / kCachePanel * kCachePanel) * view.dim + i * kCachePanel + token % kCachePanel;
      out.push_back(test::stored(view.format, numbers, at) * (scales != nullptr ? scales[view.tokens + token] : 1.0));
    }
    return out;
  }

  std::vector<std::byte> key_memory, value_memory;
  std::vector<float> key_scales, value_scales, cos, sin;
  CacheView view;
};

/// Attention of a turned query over turned keys and values.
struct ExactAttention {
  Numbers out;
  Numbers allowed;  // twice LibTorch's own error, or 4 eps of what rounded scores and sums can do to an output
};

/// `mixed`: values are turned on their way, so that each number of a pair takes the roundings of both.
ExactAttention exact_attention(const Numbers& query, const std::vector<Numbers>& keys, const std::vector<Numbers>& values, bool mixed) {
  const size_t dim = query.size();
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  Numbers weights, sizes;  // of the scores: what their terms add up to without their signs
  for (const Numbers& key : keys) {
    double score = 0, size = 0;
    for (size_t i = 0; i < dim; ++i) {
      score += scale * query[i] * key[i];
      size += scale * std::abs(query[i] * key[i]);
    }
    weights.push_back(score);
    sizes.push_back(size);
  }
  const double most = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - most);
  ExactAttention exact{Numbers(dim), Numbers(dim)};
  for (size_t t = 0; t < keys.size(); ++t)
    for (size_t i = 0; i < dim; ++i) exact.out[i] += weights[t] / total * values[t][i];
  for (size_t t = 0; t < keys.size(); ++t)
    for (size_t i = 0; i < dim; ++i) {
      const double size = std::abs(values[t][i]) + (mixed ? std::abs(values[t][(i + dim / 2) % dim]) : 0);
      const double share = size + sizes[t] * std::abs(values[t][i] - exact.out[i]);
      exact.allowed[i] += 4 * test::kEpsilon * weights[t] / total * share;
    }

  const auto tensor = [&](const std::vector<Numbers>& rows) {
    std::vector<float> numbers;
    for (const Numbers& row : rows) numbers.insert(numbers.end(), row.begin(), row.end());
    return at::tensor(numbers).view({1, 1, -1, static_cast<int64_t>(dim)});
  };
  const at::Tensor theirs = at::scaled_dot_product_attention(tensor({query}), tensor(keys), tensor(values)).contiguous();
  double their_error = 0;
  for (size_t i = 0; i < dim; ++i) their_error = std::max(their_error, std::abs(theirs.const_data_ptr<float>()[i] - exact.out[i]));
  for (double& each : exact.allowed) each = std::max(each, 2 * their_error);
  return exact;
}

Numbers as_row(const float* numbers, int64_t count) {
  return {numbers, numbers + count};
}

/// How far one head's output over random rows is off, both the largest over its numbers, NaN if one is.
struct Distance {
  double arithmetic = 0;  // from attention over what is stored, in parts of what is allowed
  double rounding = 0;    // from attention over the rows that were given, in parts of their size
};

Distance distance(const AttentionCase& c, float slack = kDecodeSlack) {
  const int64_t room = (c.tokens + 31) / 16 * 16, head = 1;
  TestCache cache(c.format, c.dim, room, c.two, c.rotary);
  const auto keys = test::normal_floats(c.tokens * c.dim, 1, c.size);
  const auto values = c.two ? test::normal_floats(c.tokens * c.dim, 2) : keys;
  const auto q = c.two ? test::normal_floats(c.dim, 3, c.size) : std::vector<float>(keys.end() - c.dim, keys.end());
  std::vector<float> scratch(static_cast<size_t>(attend_scratch(c.dim)), kNaN), out(static_cast<size_t>(c.dim)),
      sums(static_cast<size_t>(c.parts)), outs(static_cast<size_t>(c.parts * c.dim));
  for (int64_t t = 0; t < c.tokens; ++t)
    decode_append(cache.view, head, t, keys.data() + t * c.dim, values.data() + t * c.dim, scratch.data());
  const int64_t length = (c.tokens / c.parts + 15) / 16 * 16;
  for (int64_t part = 0; part < c.parts; ++part)
    decode_attend({.cache = cache.view,
                   .q = q.data(),
                   .head = head,
                   .tokens = c.tokens,
                   .begin = part * length,
                   .end = std::min(c.tokens, (part + 1) * length),
                   .scale = 1 / std::sqrt(static_cast<float>(c.dim)),
                   .slack = slack,
                   .out = outs.data() + part * c.dim,
                   .log_sum = &sums[static_cast<size_t>(part)],
                   .scratch = scratch.data()});
  decode_merge(outs.data(), sums.data(), c.parts, c.dim, out.data());

  std::vector<Numbers> given_keys, given_values, stored_keys, stored_values;
  for (int64_t t = 0; t < c.tokens; ++t) {
    given_keys.push_back(turned(as_row(keys.data() + t * c.dim, c.dim), c.rotary, t));
    given_values.push_back(as_row(values.data() + t * c.dim, c.dim));
    const Numbers key = cache.stored(cache.view.keys, cache.view.key_scales, t);  // turned by its lane
    stored_keys.push_back(turned(key, c.rotary, t - t % kCachePanel));
    stored_values.push_back(c.two ? cache.stored(cache.view.values, cache.view.value_scales, t)
                                  : turned(key, c.rotary, -(t % kCachePanel)));
  }
  const Numbers query = turned(as_row(q.data(), c.dim), c.rotary, c.tokens - 1);
  const bool mixed = c.rotary && !c.two;
  const ExactAttention given = exact_attention(query, given_keys, given_values, mixed);
  // float32 rows are held to what was given: storing them turned is arithmetic too.
  const ExactAttention exact = c.format == NumberFormat::float32 ? given : exact_attention(query, stored_keys, stored_values, mixed);
  Distance off;
  for (int64_t i = 0; i < c.dim; ++i) {
    const double arithmetic = std::abs(out[i] - exact.out[i]) / exact.allowed[i];
    const double rounding = std::abs(out[i] - given.out[i]) / (c.two ? 1 : c.size);
    if (!(arithmetic <= off.arithmetic)) off.arithmetic = arithmetic;
    if (!(rounding <= off.rounding)) off.rounding = rounding;
  }
  return off;
}

constexpr AttentionCase kAttention[] = {{16, 1, false, false},   {64, 2, false, true},   {64, 15, true, true},   {48, 16, false, true},
                                        {64, 17, true, false},   {22, 63, false, true},  {128, 64, false, true}, {128, 65, true, true},
                                        {64, 197, false, false}, {64, 255, false, true}, {7, 100, false, false}, {2, 300, true, true},
                                        {32, 1000, false, true}, {24, 7, false, true},   {80, 31, true, true}};

TEST(DecodeAttention, IsSoftmaxAttentionForEveryNormAndFormatOnEveryPath) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (AttentionCase c : kAttention)
      for (const NumberFormat format : kFormats)
        for (const double size : {1.0, 10.0, 100.0}) {
          c.format = format;
          c.size = size;
          EXPECT_LE(distance(c).arithmetic, 1) << c;
        }
  }
}

TEST(DecodeAttention, HalfAndByteCachesStayWithinTheirRounding) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (AttentionCase c : kAttention)
      for (const auto& [format, most] : {std::pair{NumberFormat::bfloat16, 0.03}, {NumberFormat::int8, 0.05}}) {
        c.format = format;
        EXPECT_LT(distance(c).rounding, most) << c;
      }
  }
}

TEST(DecodeAttention, PartsJoinToTheWhole) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t parts : {2, 3, 7})
      for (const double size : {1.0, 10.0}) {
        const AttentionCase c{.dim = 64, .tokens = 500, .two = false, .rotary = true, .size = size, .parts = parts};
        EXPECT_LE(distance(c).arithmetic, 1) << c;
      }
  }
}

TEST(DecodeAttention, WithoutTheGuardGrowingScoresOverflow) {
  // The stabiliser of the first group is far too small for what follows: following it is what keeps the sums finite.
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    const AttentionCase c{.dim = 64, .tokens = 1000, .two = false, .rotary = false, .size = 10};
    EXPECT_LE(distance(c).arithmetic, 1) << c;
    EXPECT_FALSE(distance(c, kInf).arithmetic <= 1) << c;
  }
}

TEST(DecodeAttention, ANaNIsNotLost) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths())
    for (const NumberFormat format : kFormats) {
      set_cpu_path(path);
      TestCache cache(format, 16, 64, false, false);
      std::vector<float> scratch(static_cast<size_t>(attend_scratch(16))), out(16);
      auto rows = test::normal_floats(50 * 16, 1);
      rows[20 * 16 + 3] = kNaN;
      for (int64_t t = 0; t < 50; ++t) decode_append(cache.view, 0, t, rows.data() + t * 16, rows.data() + t * 16, scratch.data());
      decode_attend(
          {.cache = cache.view, .q = rows.data(), .tokens = 50, .end = 50, .scale = 0.25F, .out = out.data(), .scratch = scratch.data()});
      for (const float x : out) EXPECT_TRUE(std::isnan(x)) << name_of(path) << ", format " << static_cast<int>(format);
    }
}

}  // namespace
}  // namespace aot
