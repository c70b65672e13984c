// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "aot/kernels/cpu/norm.h"
#include "tests/kernels/paths.h"

namespace aot {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr NumberFormat kFormats[] = {NumberFormat::float32, NumberFormat::bfloat16, NumberFormat::int8};

std::vector<float> normal(int64_t count, unsigned seed, double size = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> draw(0, size);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = static_cast<float>(draw(engine));
  return out;
}

/// Relative error that storing a number in `format` may bring, in parts of the row's largest.
double rounding(NumberFormat format) {
  return format == NumberFormat::float32 ? 0 : format == NumberFormat::bfloat16 ? 1.0 / 256 : 1.0 / 254;
}

struct Packed {
  std::vector<std::byte> memory;
  std::vector<float> scales;
  PackedMatrix w;
};

std::unique_ptr<Packed> pack(const std::vector<float>& from, int64_t rows, int64_t depth, NumberFormat format, bool transposed = false) {
  auto packed = std::make_unique<Packed>();
  const int64_t panels = weight_panels(rows);
  packed->memory.resize(static_cast<size_t>(panels * kWeightPanel * depth * bytes_of(format)));
  packed->scales.resize(static_cast<size_t>(panels * kWeightPanel));
  packed->w = {.format = format, .rows = rows, .depth = depth, .panels = packed->memory.data()};
  if (format == NumberFormat::int8) packed->w.scales = packed->scales.data();
  pack_weights(from.data(), transposed ? 1 : depth, transposed ? rows : 1, packed->w, 0, panels);
  return packed;
}

struct Shape {
  int64_t rows, depth, batch;
};
constexpr Shape kShapes[] = {{1, 1, 1}, {31, 7, 1}, {33, 64, 2}, {100, 3, 3}, {203, 48, 5}, {300, 17, 9}, {64, 129, 32}, {1, 40, 7}};

double gelu(double y) {
  return 0.5 * y * std::erfc(-y / std::sqrt(2.0));
}

double gelu_tanh(double y) {
  return 0.5 * y * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (y + 0.044715 * y * y * y)));
}

TEST(DecodeProduct, IsTheProductInEveryFormatAndEnding) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths())
    for (const NumberFormat format : kFormats)
      for (const auto& [rows, depth, batch] : kShapes)
        for (const ProductEnd end : {ProductEnd::store, ProductEnd::gelu, ProductEnd::gelu_tanh, ProductEnd::gate, ProductEnd::add}) {
          set_cpu_path(path);
          const int64_t wide = weight_panels(rows) * kWeightPanel;
          const auto w = normal(rows * depth, 1), x = normal(batch * depth, 2), before = normal(batch * wide, 3), bias = normal(wide, 4),
                     steps = normal(wide, 5);
          const auto packed = pack(w, rows, depth, format);
          std::vector<float> out = before;
          const bool own_steps = depth % 2 == 0;
          const ProductParams params{.w = packed->w,
                                     .batch = batch,
                                     .x = x.data(),
                                     .x_stride = depth,
                                     .bias = bias.data(),
                                     .out = out.data(),
                                     .out_stride = wide,
                                     .end = end,
                                     .step = 0.5F,
                                     .steps = own_steps ? steps.data() : nullptr};
          const int64_t cut = weight_panels(rows) / 3;
          decode_product(params, 0, cut);
          decode_product(params, cut, weight_panels(rows));
          for (int64_t b = 0; b < batch; ++b)
            for (int64_t n = 0; n < rows; ++n) {
              double y = bias[n], size = std::abs(bias[n]), most = 0;
              for (int64_t k = 0; k < depth; ++k) most = std::max(most, std::abs(static_cast<double>(w[n * depth + k])));
              for (int64_t k = 0; k < depth; ++k) {
                y += static_cast<double>(w[n * depth + k]) * x[b * depth + k];
                size += rounding(format) * most * std::abs(x[b * depth + k]) / 1.2e-7 + std::abs(w[n * depth + k] * x[b * depth + k]);
              }
              const double old = before[b * wide + n];
              double wanted = y, factor = 1;
              if (end == ProductEnd::gelu) wanted = gelu(y), factor = 1.2;
              if (end == ProductEnd::gelu_tanh) wanted = gelu_tanh(y), factor = 1.2;
              if (end == ProductEnd::gate) wanted = old * y / (1 + std::exp(-y)), factor = 1.2 * std::abs(old);
              if (end == ProductEnd::add) factor = std::abs(own_steps ? steps[n] : 0.5F), wanted = old + (own_steps ? steps[n] : 0.5F) * y;
              ASSERT_NEAR(out[b * wide + n], wanted, 1.2e-7 * (4 * size * factor + 8 * (1 + std::abs(old))))
                  << name_of(path) << ", format " << static_cast<int>(format) << ", " << rows << " x " << depth << ", ending "
                  << static_cast<int>(end);
            }
        }
}

TEST(DecodeProduct, FarValuesNeitherOverflowNorVanish) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths())
    for (const ProductEnd end : {ProductEnd::gelu, ProductEnd::gelu_tanh, ProductEnd::gate}) {
      set_cpu_path(path);
      const std::vector<float> values = {-3e38F, -1e4F, -200, -90, -88, -87, 87, 90, 1e4F};
      const auto rows = static_cast<int64_t>(values.size());
      const auto packed = pack(values, rows, 1, NumberFormat::float32);
      const float one = 1;
      std::vector<float> out(kWeightPanel, 1.0F);
      decode_product({.w = packed->w, .batch = 1, .x = &one, .x_stride = 1, .out = out.data(), .out_stride = kWeightPanel, .end = end}, 0,
                     1);
      for (int64_t n = 0; n < rows; ++n)
        EXPECT_NEAR(out[n], std::max(values[n], 0.0F), 1e-6 * std::max(values[n], 1.0F)) << name_of(path) << ", " << values[n];
    }
}

TEST(DecodeProduct, ASequenceHasItsOwnBitsInAnyBatch) {
  const test::KeepCpuPath keep;
  const int64_t rows = 300, depth = 77, batch = 21, wide = weight_panels(rows) * kWeightPanel;
  for (const CpuPath path : supported_cpu_paths())
    for (const NumberFormat format : kFormats) {
      set_cpu_path(path);
      const auto packed = pack(normal(rows * depth, 1), rows, depth, format);
      const auto x = normal(batch * depth, 2);
      std::vector<float> together(batch * wide), alone(wide);
      ProductParams params{.w = packed->w, .batch = batch, .x = x.data(), .x_stride = depth, .out = together.data(), .out_stride = wide};
      decode_product(params, 0, weight_panels(rows));
      params.batch = 1;
      params.out = alone.data();
      for (int64_t b = 0; b < batch; ++b) {
        params.x = x.data() + b * depth;
        decode_product(params, 0, weight_panels(rows));
        ASSERT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + b * wide)) << name_of(path) << ", sequence " << b;
      }
    }
}

TEST(DecodeProduct, TransposedPackingIsTheTransposedMatrix) {
  const int64_t rows = 50, depth = 20;
  const auto w = normal(rows * depth, 1);
  std::vector<float> turned(w.size());
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t k = 0; k < depth; ++k) turned[k * rows + n] = w[n * depth + k];
  for (const NumberFormat format : kFormats)
    EXPECT_EQ(pack(w, rows, depth, format)->memory, pack(turned, rows, depth, format, true)->memory);
}

TEST(DecodeProduct, WhatIsNotFiniteStaysSo) {
  for (const NumberFormat format : kFormats)
    for (const float bad : {kNaN, kInf}) {
      auto w = normal(40 * 8, 1);
      w[5 * 8 + 3] = bad;
      const auto packed = pack(w, 40, 8, format);
      const auto x = normal(8, 2);
      std::vector<float> out(64);
      decode_product({.w = packed->w, .x = x.data(), .x_stride = 8, .out = out.data(), .out_stride = 64}, 0, 2);
      EXPECT_FALSE(std::isfinite(out[5]));
      EXPECT_TRUE(std::isfinite(out[4]));
    }
}

TEST(PackWeights, RowsTooSmallForAScaleOfInt8AreZeros) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const float size : {1e-45F, 1e-38F, 3e-37F}) {
      std::vector<float> w(2 * 8, size);
      w[3] = -size;
      w[8 + 1] = 1;  // an ordinary row
      const auto packed = pack(w, 2, 8, NumberFormat::int8);
      EXPECT_EQ(packed->scales[0], 0) << size;
      const std::vector<float> x(8, 1);
      std::vector<float> out(64);
      decode_product({.w = packed->w, .x = x.data(), .x_stride = 8, .out = out.data(), .out_stride = 64}, 0, 1);
      EXPECT_EQ(out[0], 0) << name_of(path) << ", " << size;
      EXPECT_NEAR(out[1], 1, 0.01) << name_of(path) << ", " << size;
    }
  }
}

/// A cache of random rows with its own memory; lanes that hold no token are NaN.
struct TestCache {
  TestCache(NumberFormat format, int64_t heads, int64_t dim, int64_t room, bool two, bool rotary) : numbers(heads * room * dim) {
    view = {.format = format, .heads = heads, .dim = dim, .tokens = room};
    for (auto& memory : {&key_memory, &value_memory}) memory->assign(static_cast<size_t>(numbers * bytes_of(format)), std::byte{0xFF});
    for (auto& scales : {&key_scales, &value_scales}) scales->assign(static_cast<size_t>(heads * room), kNaN);
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

  int64_t numbers;
  std::vector<std::byte> key_memory, value_memory;
  std::vector<float> key_scales, value_scales, cos, sin;
  CacheView view;
};

struct AttentionCase {
  int64_t dim, tokens;
  bool two, rotary;
};

std::vector<double> turned(const float* row, const TestCache& cache, int64_t at) {
  const int64_t half = cache.view.dim / 2;
  std::vector<double> out(row, row + cache.view.dim);
  if (cache.cos.empty()) return out;
  for (int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(at) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
    out[i] = row[i] * std::cos(angle) - row[half + i] * std::sin(angle);
    out[half + i] = row[half + i] * std::cos(angle) + row[i] * std::sin(angle);
  }
  return out;
}

/// Attention of `q` at the last of the tokens over keys and values (tokens, dim), in double.
std::vector<double> reference(const TestCache& cache, const float* q, const std::vector<float>& keys, const std::vector<float>& values,
                              int64_t tokens, double scale) {
  const int64_t dim = cache.view.dim;
  const std::vector<double> query = turned(q, cache, tokens - 1);
  std::vector<double> scores, out(static_cast<size_t>(dim));
  for (int64_t t = 0; t < tokens; ++t) {
    const std::vector<double> key = turned(keys.data() + t * dim, cache, t);
    double score = 0;
    for (int64_t i = 0; i < dim; ++i) score += query[i] * key[i];
    scores.push_back(scale * score);
  }
  const double most = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - most);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < dim; ++i) out[i] += scores[t] / total * values[t * dim + i];
  return out;
}

/// Largest error of one head over cached random rows whose norms are `size` times usual; NaN if some output is.
double attention_error(const AttentionCase& c, NumberFormat format, double size, float slack = kDecodeSlack, int64_t parts = 1) {
  const int64_t room = (c.tokens + 31) / 16 * 16, head = 1;
  TestCache cache(format, 2, c.dim, room, c.two, c.rotary);
  const auto keys = normal(c.tokens * c.dim, 1, size);
  const auto values = c.two ? normal(c.tokens * c.dim, 2) : keys;
  const auto q = c.two ? normal(c.dim, 3, size) : std::vector<float>(keys.end() - c.dim, keys.end());
  std::vector<float> scratch(static_cast<size_t>(attend_scratch(c.dim)), kNaN), out(static_cast<size_t>(c.dim)), sums(parts);
  std::vector<float> outs(static_cast<size_t>(parts * c.dim));
  for (int64_t t = 0; t < c.tokens; ++t)
    decode_append(cache.view, head, t, keys.data() + t * c.dim, values.data() + t * c.dim, scratch.data());
  const float scale = 1 / std::sqrt(static_cast<float>(c.dim));
  const int64_t length = (c.tokens / parts + 15) / 16 * 16;
  for (int64_t part = 0; part < parts; ++part)
    decode_attend({.cache = cache.view,
                   .q = q.data(),
                   .head = head,
                   .tokens = c.tokens,
                   .begin = part * length,
                   .end = std::min(c.tokens, (part + 1) * length),
                   .scale = scale,
                   .slack = slack,
                   .out = outs.data() + part * c.dim,
                   .log_sum = &sums[static_cast<size_t>(part)],
                   .scratch = scratch.data()});
  decode_merge(outs.data(), sums.data(), parts, c.dim, out.data());
  const std::vector<double> wanted = reference(cache, q.data(), keys, values, c.tokens, scale);
  double worst = 0;
  for (int64_t i = 0; i < c.dim; ++i) {
    const double error = std::abs(out[i] - wanted[i]) / (c.two ? 1 : size);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

constexpr AttentionCase kAttention[] = {{16, 1, false, false},   {64, 2, false, true},   {64, 15, true, true},   {48, 16, false, true},
                                        {64, 17, true, false},   {22, 63, false, true},  {128, 64, false, true}, {128, 65, true, true},
                                        {64, 197, false, false}, {64, 255, false, true}, {7, 100, false, false}, {2, 300, true, true},
                                        {32, 1000, false, true}, {24, 7, false, true},   {80, 31, true, true}};

TEST(DecodeAttention, IsSoftmaxAttentionForEveryNormOnEveryPath) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const AttentionCase& c : kAttention)
      for (const double size : {1.0, 10.0, 100.0}) {
        // Scores grow with the square of the norms, and so does what a rounded score does to a weight.
        const double allowed = 3e-6 * std::max(1.0, size * size / 20);
        EXPECT_LT(attention_error(c, NumberFormat::float32, size), allowed)
            << name_of(path) << ", P = " << c.dim << ", T = " << c.tokens << ", norms x " << size;
      }
  }
}

TEST(DecodeAttention, HalfAndByteCachesStayWithinTheirRounding) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const AttentionCase& c : kAttention) {
      EXPECT_LT(attention_error(c, NumberFormat::bfloat16, 1), 0.03) << name_of(path) << ", P = " << c.dim << ", T = " << c.tokens;
      EXPECT_LT(attention_error(c, NumberFormat::int8, 1), 0.05) << name_of(path) << ", P = " << c.dim << ", T = " << c.tokens;
    }
  }
}

TEST(DecodeAttention, PartsJoinToTheWhole) {
  for (const int64_t parts : {2, 3, 7})
    for (const double size : {1.0, 10.0})
      EXPECT_LT(attention_error({64, 500, false, true}, NumberFormat::float32, size, kDecodeSlack, parts), 2e-5) << parts << " parts";
}

TEST(DecodeAttention, WithoutTheGuardGrowingScoresOverflow) {
  // The stabiliser of the first group is far too small for what follows: following it is what keeps the sums finite.
  EXPECT_LT(attention_error({64, 1000, false, false}, NumberFormat::float32, 10), 2e-5);
  EXPECT_FALSE(attention_error({64, 1000, false, false}, NumberFormat::float32, 10, kInf) < 2e-5);
}

TEST(DecodeAttention, ANaNIsNotLost) {
  for (const NumberFormat format : kFormats) {
    TestCache cache(format, 1, 16, 64, false, false);
    std::vector<float> scratch(static_cast<size_t>(attend_scratch(16))), out(16);
    auto rows = normal(50 * 16, 1);
    rows[20 * 16 + 3] = kNaN;
    for (int64_t t = 0; t < 50; ++t) decode_append(cache.view, 0, t, rows.data() + t * 16, rows.data() + t * 16, scratch.data());
    decode_attend(
        {.cache = cache.view, .q = rows.data(), .tokens = 50, .end = 50, .scale = 0.25F, .out = out.data(), .scratch = scratch.data()});
    for (const float x : out) EXPECT_TRUE(std::isnan(x)) << static_cast<int>(format);
  }
}

TEST(DecodeNorm, FollowsItsFormula) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t width : {1, 3, 16, 37, 384}) {
      const auto z = normal(width, 1), weight = normal(width, 2), bias = normal(width, 3);
      std::vector<float> out(static_cast<size_t>(width));
      for (const NormFormula formula : {NormFormula::none, NormFormula::layer, NormFormula::rms}) {
        decode_norm(formula, z.data(), weight.data(), bias.data(), 1e-5F, width, out.data());
        double mean = 0, squares = 0;
        for (const float x : z) mean += formula == NormFormula::layer ? x / static_cast<double>(width) : 0;
        for (const float x : z) squares += (x - mean) * (x - mean) / static_cast<double>(width);
        const double factor = formula == NormFormula::none ? 1 : 1 / std::sqrt(squares + 1e-5);
        for (int64_t i = 0; i < width; ++i) EXPECT_NEAR(out[i], (z[i] - mean) * factor * weight[i] + bias[i], 4e-6) << width;
      }
    }
  }
}

TEST(DecodeNorm, GivesTheBitsOfTraining) {
  const test::KeepCpuPath keep;
  constexpr int64_t width = 37;
  const auto weight = normal(width, 2), bias = normal(width, 3);
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const bool centred : {true, false}) {
      auto z = normal(width, 1);
      std::vector<float> trained(width), decoded(width);
      const NormParams params{.rows = 1,
                              .width = width,
                              .centred = centred,
                              .epsilon = 1e-5F,
                              .weight = weight.data(),
                              .bias = bias.data(),
                              .z = z.data(),
                              .x = trained.data()};
      const NormFormula formula = centred ? NormFormula::layer : NormFormula::rms;
      for (const float offset : {0.0F, 1000.0F}) {
        for (float& x : z) x += offset;
        norm_forward(params, 0, 1);
        decode_norm(formula, z.data(), weight.data(), bias.data(), 1e-5F, width, decoded.data());
        EXPECT_EQ(decoded, trained) << name_of(path) << ", centred " << centred << ", offset " << offset;
      }
      z[7] = 1e30F;  // its square is beyond float32
      decode_norm(formula, z.data(), weight.data(), bias.data(), 1e-5F, width, decoded.data());
      for (const float x : decoded) EXPECT_TRUE(std::isnan(x)) << name_of(path) << ", centred " << centred;
    }
  }
}

TEST(DecodeBest, IsTheFirstOfTheLargest) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t count : {1, 2, 15, 16, 17, 1000}) {
      std::vector<float> values = normal(count, 1);
      const auto wanted = std::max_element(values.begin(), values.end()) - values.begin();
      EXPECT_EQ(decode_best(values.data(), count).index, wanted);
      std::fill(values.begin(), values.end(), -2.0F);
      values[count / 2] = values[count - 1] = -1.0F;
      EXPECT_EQ(decode_best(values.data(), count).index, count / 2);
      values[0] = -kInf;
      EXPECT_EQ(decode_best(values.data(), count).usable, count > 1);
      for (const float bad : {kNaN, kInf})
        for (const int64_t at : {int64_t{0}, count / 2, count - 1}) {
          std::vector<float> damaged = normal(count, 1);
          damaged[at] = bad;
          EXPECT_FALSE(decode_best(damaged.data(), count).usable) << at << " of " << count;
        }
    }
  }
}

}  // namespace
}  // namespace aot
