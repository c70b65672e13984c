// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <ATen/TensorOperators.h>

#include "aot/kernels/cpu/norm.h"
#include "tests/kernels/numbers.h"
#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr NumberFormat kFormats[] = {NumberFormat::float32, NumberFormat::bfloat16, NumberFormat::int8};

struct Packed {
  std::vector<std::byte> memory;
  std::vector<float> scales;
  PackedMatrix w;

  /// The matrix (rows, depth) as it is stored, in float64.
  [[nodiscard]] at::Tensor stored() const {
    std::vector<double> out;
    for (int64_t n = 0; n < w.rows; ++n)
      for (int64_t k = 0; k < w.depth; ++k) {
        const double number = test::stored(w.format, w.panels, (n / kWeightPanel * w.depth + k) * kWeightPanel + n % kWeightPanel);
        out.push_back(w.format == NumberFormat::int8 ? number * w.scales[n] : number);
      }
    return at::tensor(out).view({w.rows, w.depth});
  }
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

at::Tensor as_tensor(const std::vector<float>& numbers, at::IntArrayRef shape) {
  return at::tensor(numbers).view(shape);
}

/// x W^T + bias and what becomes of it, in the numbers of `w`.
at::Tensor product(ProductEnd end, const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias, const at::Tensor& old,
                   const at::Tensor& steps) {
  const auto type = w.scalar_type();
  const at::Tensor y = at::linear(x.to(type), w, bias.to(type));
  switch (end) {
    case ProductEnd::store:
      return y;
    case ProductEnd::gelu:
      return at::gelu(y);
    case ProductEnd::gelu_tanh:
      return at::gelu(y, "tanh");
    case ProductEnd::gate:
      return old.to(type) * at::silu(y);
    case ProductEnd::add:
      return old.to(type) + steps.to(type) * y;
  }
  return {};
}

/// How much of `out` an error of its terms, relative to their sizes, may change: the sizes, times the ending's steepest slope.
at::Tensor sensitivity(ProductEnd end, const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias, const at::Tensor& old,
                       const at::Tensor& steps) {
  const at::Tensor size = at::linear(x.to(at::kDouble).abs(), w.abs(), bias.to(at::kDouble).abs());
  if (end == ProductEnd::store) return size;
  if (end == ProductEnd::gate) return 1.2 * old.to(at::kDouble).abs() * size;
  if (end == ProductEnd::add) return old.to(at::kDouble).abs() + steps.to(at::kDouble).abs() * size;
  return 1.2 * size;
}

TEST(DecodeProduct, IsTheProductOfWhatIsStoredInEveryFormatAndEnding) {
  const test::KeepCpuPath keep;
  for (const NumberFormat format : kFormats)
    for (const auto& [rows, depth, batch] : kShapes) {
      const int64_t wide = weight_panels(rows) * kWeightPanel;
      const auto x = test::normal_floats(batch * depth, 2), before = test::normal_floats(batch * wide, 3),
                 bias = test::normal_floats(wide, 4), steps = test::normal_floats(wide, 5);
      const auto packed = pack(test::normal_floats(rows * depth, 1), rows, depth, format);
      const bool own_steps = depth % 2 == 0;
      const at::Tensor w = packed->stored(), inputs = as_tensor(x, {batch, depth}), biases = as_tensor(bias, {wide}).narrow(0, 0, rows),
                       old = as_tensor(before, {batch, wide}).narrow(1, 0, rows),
                       step = own_steps ? as_tensor(steps, {wide}).narrow(0, 0, rows) : at::full({rows}, 0.5F);
      for (const ProductEnd end : {ProductEnd::store, ProductEnd::gelu, ProductEnd::gelu_tanh, ProductEnd::gate, ProductEnd::add}) {
        const at::Tensor exact = product(end, inputs, w, biases, old, step);
        const double theirs = test::max_difference(product(end, inputs, w.to(at::kFloat), biases, old, step), exact);
        const at::Tensor allowed = (4 * test::kEpsilon * sensitivity(end, inputs, w, biases, old, step)).clamp_min(2 * theirs);
        for (const CpuPath path : supported_cpu_paths()) {
          set_cpu_path(path);
          std::vector<float> out = before;
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
          const at::Tensor ours = as_tensor(out, {batch, wide}).narrow(1, 0, rows);
          EXPECT_LE(((ours.to(at::kDouble) - exact).abs() / allowed).max().item<double>(), 1)
              << name_of(path) << ", format " << static_cast<int>(format) << ", " << rows << " x " << depth << ", ending "
              << static_cast<int>(end);
        }
      }
    }
}

TEST(PackWeights, KeepsEveryNumberWithinItsFormatsRounding) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    const auto w = test::normal_floats(100 * 37, 1);
    const at::Tensor given = as_tensor(w, {100, 37}).to(at::kDouble), most = given.abs().amax(1, true);
    EXPECT_EQ(test::max_difference(pack(w, 100, 37, NumberFormat::float32)->stored(), given), 0);
    const auto error = [&](NumberFormat format) { return (pack(w, 100, 37, format)->stored() - given).abs(); };
    EXPECT_LE((error(NumberFormat::bfloat16) / given.abs()).max().item<double>(), 1.0 / 256);
    EXPECT_LE((error(NumberFormat::int8) / most).max().item<double>(), 0.5 / 127 * (1 + 1e-5));
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
      const auto packed = pack(test::normal_floats(rows * depth, 1), rows, depth, format);
      const auto x = test::normal_floats(batch * depth, 2);
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
  const auto w = test::normal_floats(rows * depth, 1);
  std::vector<float> turned(w.size());
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t k = 0; k < depth; ++k) turned[k * rows + n] = w[n * depth + k];
  for (const NumberFormat format : kFormats)
    EXPECT_EQ(pack(w, rows, depth, format)->memory, pack(turned, rows, depth, format, true)->memory);
}

TEST(DecodeProduct, WhatIsNotFiniteStaysSo) {
  for (const NumberFormat format : kFormats)
    for (const float bad : {kNaN, kInf}) {
      auto w = test::normal_floats(40 * 8, 1);
      w[5 * 8 + 3] = bad;
      const auto packed = pack(w, 40, 8, format);
      const auto x = test::normal_floats(8, 2);
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

/// The formula in the numbers of `z`.
at::Tensor normalised(NormFormula formula, const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias) {
  const auto type = z.scalar_type();
  const at::Tensor w = weight.to(type), b = bias.to(type);
  if (formula == NormFormula::none) return z * w + b;
  if (formula == NormFormula::rms) return at::rms_norm(z, z.sizes(), w, 1e-5) + b;
  return at::layer_norm(z, z.sizes(), w, b, 1e-5);
}

TEST(DecodeNorm, FollowsItsFormula) {
  const test::KeepCpuPath keep;
  for (const int64_t width : {1, 3, 16, 37, 384})
    for (const NormFormula formula : {NormFormula::none, NormFormula::layer, NormFormula::rms}) {
      const auto z = test::normal_floats(width, 1), weight = test::normal_floats(width, 2), bias = test::normal_floats(width, 3);
      const at::Tensor rows = as_tensor(z, {width}), weights = as_tensor(weight, {width}), biases = as_tensor(bias, {width});
      const at::Tensor exact = normalised(formula, rows.to(at::kDouble), weights, biases);
      const double size = exact.abs().max().item<double>() + biases.abs().max().item<double>();  // their terms may cancel
      const double theirs = test::max_difference(normalised(formula, rows, weights, biases), exact);
      const double allowed = std::max(2 * theirs, 4 * test::kEpsilon * size);
      for (const CpuPath path : supported_cpu_paths()) {
        set_cpu_path(path);
        std::vector<float> out(static_cast<size_t>(width));
        decode_norm(formula, z.data(), weight.data(), bias.data(), 1e-5F, width, out.data());
        EXPECT_LE(test::max_difference(as_tensor(out, {width}), exact), allowed) << name_of(path) << ", " << width;
      }
    }
}

TEST(DecodeNorm, GivesTheBitsOfTraining) {
  const test::KeepCpuPath keep;
  constexpr int64_t width = 37;
  const auto weight = test::normal_floats(width, 2), bias = test::normal_floats(width, 3);
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const bool centred : {true, false}) {
      auto z = test::normal_floats(width, 1);
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
      std::vector<float> values = test::normal_floats(count, 1);
      const auto wanted = std::max_element(values.begin(), values.end()) - values.begin();
      EXPECT_EQ(decode_best(values.data(), count).index, wanted);
      std::fill(values.begin(), values.end(), -2.0F);
      values[count / 2] = values[count - 1] = -1.0F;
      EXPECT_EQ(decode_best(values.data(), count).index, count / 2);
      values[0] = -kInf;
      EXPECT_EQ(decode_best(values.data(), count).usable, count > 1);
      for (const float bad : {kNaN, kInf})
        for (const int64_t at : {int64_t{0}, count / 2, count - 1}) {
          std::vector<float> damaged = test::normal_floats(count, 1);
          damaged[at] = bad;
          EXPECT_FALSE(decode_best(damaged.data(), count).usable) << at << " of " << count;
        }
    }
  }
}

}  // namespace
}  // namespace aot
