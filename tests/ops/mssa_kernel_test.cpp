// SPDX-License-Identifier: Apache-2.0
// The project's kernels against the plain form in float64, with LibTorch's own float32 error as the yardstick.
#include "aot/ops/mssa_kernel.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/io/error.h"
#include "aot/kernels/cpu/mssa.h"
#include "aot/ops/tasks.h"
#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

struct Shape {
  int64_t batch = 2, heads = 3, tokens = 1, dim = 64;
};

struct Case {
  Shape shape;
  AttentionOptions options;
  bool rotary = false;
  double size = 1;  // of the tokens: n_i grows with its square

  [[nodiscard]] std::string name() const {
    return str("B ", shape.batch, " K ", shape.heads, " T ", shape.tokens, " P ", shape.dim, options.causal ? " causal" : "",
               options.key_mask.defined() ? " masked" : "", rotary ? " rotary" : "", " size ", size, " path ", name_of(cpu_path()));
  }
  [[nodiscard]] at::Tensor tokens(at::ScalarType dtype) const {  // heads (B, K, T, P) as they come from a projection
    return (test::normal({shape.batch, shape.tokens, shape.heads, shape.dim}, 1) * (0.35 * size)).to(at::kFloat).to(dtype).transpose(1, 2);
  }
};

/// Every second sequence padded on the left by a third and at its end.
at::Tensor padding(const Shape& shape) {
  at::Tensor real = at::ones({shape.batch, shape.tokens}, at::kBool);
  for (int64_t b = 1; b < shape.batch; b += 2) {
    real[b].narrow(0, 0, (shape.tokens + 2) / 3).fill_(false);
    real[b][shape.tokens - 1].fill_(false);
  }
  return real;
}

struct Pass {
  at::Tensor out, gradient;
};

Pass pass(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& tokens) {
  const at::Tensor a = tokens.detach().requires_grad_();
  const at::Tensor out = f(a);
  return {out.detach(), test::gradients(out, test::normal({a.size(0), a.size(2), a.size(1), a.size(3)}, 2).transpose(1, 2), {a})[0]};
}

Pass kernel(const Case& c, const at::Tensor& tokens) {
  const RotaryTable table = c.rotary ? RotaryTable(c.shape.tokens, c.shape.dim) : RotaryTable();
  return pass([&](const at::Tensor& a) { return mssa_kernel_attention(a, c.rotary ? &table : nullptr, c.options); }, tokens);
}

Pass formula_pass(decltype(&attention) formula, const Case& c, const at::Tensor& tokens) {
  const RotaryTable table = c.rotary ? RotaryTable(c.shape.tokens, c.shape.dim) : RotaryTable();
  return pass(
      [&](const at::Tensor& a) {
        const at::Tensor turned = c.rotary ? rotate(a, table) : a;
        return formula(turned, turned, a, c.options, {});
      },
      tokens);
}

Pass plain(const Case& c, const at::Tensor& tokens) {
  return formula_pass(attention_reference, c, tokens);
}

/// LibTorch's fused operator on the same tensor.
Pass library(const Case& c, const at::Tensor& tokens) {
  return formula_pass(attention, c, tokens);
}

constexpr double kEpsilon = 1.1920929e-7;

/// Error at most twice LibTorch's, or 4 eps of the largest number.
void expect_exact(const Case& c, const at::Tensor& tokens) {
  const Pass exact = plain(c, tokens.to(at::kDouble)), theirs = library(c, tokens), ours = kernel(c, tokens);
  const auto bound = [](const at::Tensor& truth, const at::Tensor& other) {
    return std::max(2 * test::max_difference(other, truth), 4 * kEpsilon * truth.abs().max().item<double>());
  };
  EXPECT_LE(test::max_difference(ours.out, exact.out), bound(exact.out, theirs.out)) << "output, " << c.name();
  EXPECT_LE(test::max_difference(ours.gradient, exact.gradient), bound(exact.gradient, theirs.gradient)) << "gradient, " << c.name();
}

/// The kernels alone, without what ops/ does when they meet a number that is not finite, in scratch memory full of NaN, with a guard of
/// their own.
Pass bare(const Case& c, const at::Tensor& a, float guard) {
  const auto nan = [](at::IntArrayRef shape) { return at::full(shape, std::numeric_limits<float>::quiet_NaN()); };
  const auto view = [](const at::Tensor& t) { return HeadsView{t.data_ptr(), t.stride(0), t.stride(2), t.stride(1)}; };
  const at::Tensor out = nan(a.transpose(1, 2).sizes()).transpose(1, 2), dw = nan(a.transpose(1, 2).sizes()).transpose(1, 2);
  const at::Tensor d_out = test::normal(a.transpose(1, 2).sizes(), 2, at::kFloat).transpose(1, 2);  // as in `pass`
  const at::Tensor statistics = nan({a.size(0), a.size(1), 2, a.size(2)});
  const RotaryTable table = c.rotary ? RotaryTable(a.size(2), a.size(3)) : RotaryTable();
  at::Tensor cos, sin;
  MssaParams params{.batch = a.size(0), .heads = a.size(1), .tokens = a.size(2), .dim = a.size(3), .causal = c.options.causal};
  params.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(a.size(3))));
  params.guard = guard;
  if (c.options.key_mask.defined()) params.key_mask = reinterpret_cast<const uint8_t*>(c.options.key_mask.const_data_ptr<bool>());
  if (c.rotary) {
    cos = table.cos(0, a.size(2), at::kFloat);
    sin = table.sin(0, a.size(2), at::kFloat);
    params.cos = cos.const_data_ptr<float>();
    params.sin = sin.const_data_ptr<float>();
  }
  params.w = view(a);
  params.out = view(out);
  params.d_out = view(d_out);
  params.dw = view(dw);
  params.statistics = statistics.data_ptr<float>();
  const int64_t heads = params.batch * params.heads, parts = mssa_parts(params);
  const at::Tensor partial = nan({heads, parts, params.tokens, params.dim});
  params.partial = partial.data_ptr<float>();
  std::vector<uint8_t> notices(static_cast<size_t>(heads * parts));
  params.notices = notices.data();
  for (const auto kernel : {mssa_forward, mssa_backward})
    run_tasks(heads * parts, mssa_scratch(params), [&](int64_t task, float* scratch) {
      std::fill_n(scratch, mssa_scratch(params), std::numeric_limits<float>::quiet_NaN());
      kernel(params, task, task + 1, scratch);
    });
  if (parts > 1) mssa_backward_sum(params, 0, heads);
  return {out, dw};
}

TEST(MssaKernel, DoesNotReadScratchThatItDidNotWrite) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t tokens : {1, 7, 33, 65, 600})  // the last is cut into parts
      for (const int64_t dim : {24, 64})
        for (const bool causal : {true, false})
          for (const bool rotary : {false, true})
            for (const bool masked : {false, true}) {
              Case c{.shape = {.batch = 2, .heads = tokens == 600 ? 1 : 4, .tokens = tokens, .dim = dim},
                     .options = {.causal = causal},
                     .rotary = rotary};
              if (masked) c.options.key_mask = padding(c.shape);
              const at::Tensor a = c.tokens(at::kFloat);
              const Pass dirty = bare(c, a, 60), clean = kernel(c, a);
              EXPECT_TRUE(dirty.out.equal(clean.out)) << c.name();
              EXPECT_TRUE(dirty.gradient.equal(clean.gradient)) << c.name();
            }
  }
}

TEST(MssaKernel, IsThePlainFormAtEveryAwkwardLength) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t tokens : {1, 2, 7, 31, 63, 64, 65, 197, 255, 1000})
      for (const bool causal : {true, false})
        for (const bool masked : {false, true})
          for (const bool rotary : {false, true}) {
            Case c{.shape = {.tokens = tokens}, .options = {.causal = causal}, .rotary = rotary};
            if (tokens == 1000) c.shape.batch = c.shape.heads = 1;
            if (masked) c.options.key_mask = padding(c.shape);
            expect_exact(c, c.tokens(at::kFloat));
          }
  }
}

TEST(MssaKernel, ServesEveryHeadWidthOnEveryPath) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (int64_t dim = 16; dim <= 128; dim += 8)
      for (const bool causal : {true, false})
        for (const bool rotary : {false, true})
          for (const int64_t tokens : {7, 65}) {
            Case c{.shape = {.tokens = tokens, .dim = dim}, .options = {.causal = causal}, .rotary = rotary};
            expect_exact(c, c.tokens(at::kFloat));
            c.options.key_mask = padding(c.shape);
            expect_exact(c, c.tokens(at::kFloat));
          }
  }
}

TEST(MssaKernel, HoldsForLargeNormsThroughItsFallbacks) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const double size : {0.0, 1e-20, 1.0, 10.0, 100.0})
      for (const bool causal : {true, false})
        for (const bool masked : {false, true})
          for (const bool rotary : {false, true}) {
            Case c{.shape = {.tokens = 65}, .options = {.causal = causal}, .rotary = rotary, .size = size};
            if (masked) c.options.key_mask = padding(c.shape);
            expect_exact(c, c.tokens(at::kFloat));
          }
  }
}

TEST(MssaKernel, HoldsForParallelDuplicateZeroAndLonelyTokens) {
  for (const double size : {1.0, 10.0, 60.0})
    for (const bool causal : {true, false}) {
      const Case c{.shape = {.batch = 1, .heads = 2, .tokens = 40}, .options = {.causal = causal}, .size = size};
      at::Tensor a = c.tokens(at::kFloat).clone();
      a.select(1, 0).copy_(a.select(1, 0).narrow(1, 0, 1) * at::arange(1, 41).view({1, 40, 1}).to(at::kFloat) * 0.05);  // parallel
      a.select(1, 1).narrow(1, 5, 9).copy_(a.select(1, 1).narrow(1, 4, 1).expand({1, 9, 64}));                          // duplicates
      a.select(1, 1).narrow(1, 20, 6).zero_();
      a.select(1, 1).narrow(1, 30, 1).mul_(40);  // one token far longer than the rest: its row bound is far above theirs
      expect_exact(c, a);
    }
}

TEST(MssaKernel, FewAndManyHeadsAreCutTheSameWayForEveryThreadCount) {
  const int before = at::get_num_threads();
  for (const Shape shape : {Shape{1, 1, 700, 64}, Shape{1, 3, 600, 32}, Shape{5, 7, 65, 16}})
    for (const bool causal : {true, false}) {
      const Case c{.shape = shape, .options = {.causal = causal}};
      const at::Tensor a = c.tokens(at::kFloat);
      expect_exact(c, a);
      at::set_num_threads(1);
      const Pass one = kernel(c, a);
      at::set_num_threads(2);
      const Pass two = kernel(c, a);
      at::set_num_threads(before);
      EXPECT_TRUE(one.out.equal(two.out) && one.gradient.equal(two.gradient)) << c.name();
    }
}

TEST(MssaKernel, ReadsStridesInPlaceAndWritesTokensByHeads) {
  const Case c{.shape = {.tokens = 33, .dim = 40}};
  const at::Tensor a = c.tokens(at::kFloat);
  const at::Tensor wide = at::cat({a, a, a}, -1).narrow(-1, 40, 40).transpose(0, 2).contiguous().transpose(0, 2);
  ASSERT_NE(wide.stride(2), a.stride(2));
  const Pass strided = kernel(c, wide), contiguous = kernel(c, a.contiguous());
  EXPECT_TRUE(strided.out.equal(contiguous.out) && strided.gradient.equal(contiguous.gradient));
  EXPECT_TRUE(strided.out.transpose(1, 2).is_contiguous());
  EXPECT_TRUE(strided.gradient.transpose(1, 2).is_contiguous());
}

TEST(MssaKernel, InBfloat16IsAtMostTwiceAsFarAsThePlainForm) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    for (const int64_t tokens : {1, 7, 65, 197})
      for (const bool causal : {true, false})
        for (const bool rotary : {false, true}) {
          const Case c{.shape = {.tokens = tokens, .dim = 24}, .options = {.causal = causal}, .rotary = rotary};
          const at::Tensor a = c.tokens(at::kBFloat16);
          const Pass exact = plain(c, a.to(at::kDouble)), theirs = plain(c, a), ours = kernel(c, a);
          ASSERT_EQ(ours.out.scalar_type(), at::kBFloat16);
          const auto bound = [](const at::Tensor& truth, const at::Tensor& other) {
            return std::max(2 * test::max_difference(other, truth), std::pow(2.0, -8) * truth.abs().max().item<double>());
          };
          EXPECT_LE(test::max_difference(ours.out, exact.out), bound(exact.out, theirs.out)) << c.name();
          EXPECT_LE(test::max_difference(ours.gradient, exact.gradient), bound(exact.gradient, theirs.gradient)) << c.name();
        }
  }
}

TEST(MssaKernel, NanAndInfinityComeOutWhereThePlainFormHasThem) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const bool causal : {true, false})
      for (const bool rotary : {false, true})
        for (const int64_t place : {17, 39}) {  // 39 is padding where keys are masked
          Case c{.shape = {.tokens = 40}, .options = {.causal = causal}, .rotary = rotary};
          if (place == 39) c.options.key_mask = padding(c.shape);
          at::Tensor a = c.tokens(at::kFloat).clone();
          a[1][2][place][5].fill_(bad);
          const Pass ours = kernel(c, a), wanted = plain(c, a);
          EXPECT_TRUE(ours.out.isnan().equal(wanted.out.isnan())) << c.name();
          EXPECT_TRUE(ours.gradient.isnan().equal(wanted.gradient.isnan())) << c.name();
          EXPECT_TRUE(ours.out.isnan().any().item<bool>()) << c.name();
          EXPECT_FALSE(ours.out[0].isnan().any().item<bool>()) << c.name();
        }
}

TEST(MssaKernel, WhatIsNotFiniteNeedsThePlainForm) {
  const Case c{.shape = {.tokens = 40}};
  at::Tensor a = c.tokens(at::kFloat).clone();
  a[1][2][17][5].fill_(std::numeric_limits<float>::quiet_NaN());
  const Pass unguarded = bare(c, a, 60), wanted = plain(c, a);
  EXPECT_FALSE(unguarded.out.isnan().equal(wanted.out.isnan()) && unguarded.gradient.isnan().equal(wanted.gradient.isnan()));
}

TEST(MssaKernel, ABadGradientIsNotLost) {
  const Case c{.shape = {.tokens = 40}};
  const at::Tensor a = c.tokens(at::kFloat).clone().requires_grad_(), out = mssa_kernel_attention(a, nullptr, {});
  at::Tensor g = at::zeros(out.sizes());
  g[0][1][20][3].fill_(std::numeric_limits<float>::infinity());
  EXPECT_TRUE(torch::autograd::grad({out}, {a}, {g})[0].isnan().any().item<bool>());
}

TEST(MssaKernel, TheGuardsAreNeeded) {
  // Long and short tokens side by side: with the guard lifted the short ones lose all their weights. Masked, a token's own weight may not
  // save it either: long tokens all of one length, each padded token reading others that lie across.
  for (const bool causal : {true, false})
    for (const bool masked : {false, true}) {
      Case c{.shape = {.batch = 2, .heads = 4, .tokens = 40}, .options = {.causal = causal}};
      at::Tensor a = c.tokens(at::kFloat).clone();
      if (masked) {
        c.options.key_mask = padding(c.shape);
        a = a / a.norm(2, -1, true) * 30;
      } else {
        a.select(2, 3).mul_(40);
        a.narrow(2, 4, 30).mul_(3);
      }
      expect_exact(c, a);
      const at::Tensor exact = plain(c, a.to(at::kDouble)).out;
      const at::Tensor out = bare(c, a, std::numeric_limits<float>::infinity()).out;
      EXPECT_FALSE(test::max_difference(out, exact) < 1e-2) << c.name();
      EXPECT_LT(test::max_difference(bare(c, a, 60).out, exact), 1e-4) << c.name();
    }
}

TEST(MssaKernel, FallbacksAreCountedByHead) {
  const Case usual{.shape = {.tokens = 65}}, large{.shape = {.tokens = 65}, .size = 30};
  const MssaCounts start = mssa_counts();
  static_cast<void>(mssa_kernel_attention(usual.tokens(at::kFloat), nullptr, {}));
  const MssaCounts middle = mssa_counts();
  EXPECT_EQ(middle.heads - start.heads, 6);
  EXPECT_EQ(middle.fallbacks - start.fallbacks, 0);
  static_cast<void>(mssa_kernel_attention(large.tokens(at::kFloat), nullptr, {}));
  EXPECT_EQ(mssa_counts().fallbacks - middle.fallbacks, 6);
}

TEST(MssaKernel, CanBeDifferentiatedTwice) {
  const Case c{.shape = {.batch = 1, .heads = 1, .tokens = 5, .dim = 16}, .rotary = true};
  const RotaryTable table(5, 16);
  const auto second = [&](const at::Tensor& a, bool own) {
    const at::Tensor turned = rotate(a, table);
    const at::Tensor out = own ? mssa_kernel_attention(a, &table, {}) : attention_reference(turned, turned, a, {});
    const at::Tensor first = torch::autograd::grad({out.square().sum()}, {a}, {}, true, true)[0];
    return torch::autograd::grad({first.square().sum()}, {a})[0];
  };
  const at::Tensor a = c.tokens(at::kFloat).clone();
  EXPECT_LT(test::max_difference(second(a.detach().requires_grad_(), true), second(a.to(at::kDouble).requires_grad_(), false)), 1e-4);
}

TEST(MssaKernel, SaysWhatItServes) {
  const auto serves = [](at::IntArrayRef shape, at::ScalarType dtype, const AttentionOptions& options = {}) {
    return mssa_kernel_serves(at::zeros(shape, dtype), options);
  };
  EXPECT_TRUE(serves({1, 1, 4, 64}, at::kFloat));
  EXPECT_TRUE(serves({1, 1, 4, 24}, at::kBFloat16));
  EXPECT_FALSE(serves({1, 1, 4, 64}, at::kDouble));
  EXPECT_FALSE(serves({1, 1, 4, 20}, at::kFloat));
  EXPECT_FALSE(serves({1, 1, 4, 136}, at::kFloat));
  EXPECT_FALSE(serves({1, 1, 4, 64}, at::kFloat, {.scale = -1}));
}

}  // namespace
}  // namespace aot
