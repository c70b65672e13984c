// SPDX-License-Identifier: Apache-2.0
// The project's kernels over lengths, widths, masks, norms and formats, on every path. Their guards: mssa_guards_test.cpp.
#include "aot/ops/mssa_kernel.h"

#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/ops/mssa_cases.h"

namespace aot {
namespace {

using test::expect_exact;
using test::MssaCase;
using test::MssaShape;

TEST(MssaKernel, IsThePlainFormAtEveryAwkwardLength) {
  for (const int64_t tokens : {1, 2, 7, 31, 63, 64, 65, 197, 255})
    test::for_each_mask({.shape = {.tokens = tokens}}, [](const MssaCase& c) { expect_exact(c); });
  test::for_each_mask({.shape = {1, 1, 1000, 64}}, [](const MssaCase& c) { expect_exact(c); });  // a head in parts
  test::for_each_mask({.shape = {2, 4, 1000, 16}}, [](const MssaCase& c) {                       // enough heads for symmetry
    if (!c.options.causal && c.rotary == c.options.key_mask.defined()) expect_exact(c);
  });
}

TEST(MssaKernel, ServesEveryHeadWidth) {
  for (int64_t dim = 16; dim <= 128; dim += 8)
    for (const int64_t tokens : {7, 65})
      test::for_each_mask({.shape = {.tokens = tokens, .dim = dim}}, [](const MssaCase& c) { expect_exact(c); });
}

TEST(MssaKernel, HoldsForNormsOfEverySizeThroughItsFallbacks) {
  const std::vector<MssaShape> shapes = {{2, 3, 1, 16},  {2, 3, 2, 64},   {2, 4, 7, 128},  {2, 4, 31, 40},  {2, 4, 63, 64},
                                         {2, 4, 65, 24}, {2, 4, 197, 64}, {1, 9, 255, 96}, {1, 1, 1000, 32}};
  for (const MssaShape& shape : shapes)
    for (const double size : {1.0, 10.0, 100.0})
      test::for_each_mask({.shape = shape, .size = size}, [](const MssaCase& c) { expect_exact(c); });
  for (const double size : {0.0, 1e-20})
    test::for_each_mask({.shape = {.tokens = 65}, .size = size}, [](const MssaCase& c) { expect_exact(c); });
}

TEST(MssaKernel, HoldsForLongTokensOfOneLength) {
  // However long, they differ too little in norm for a fallback: scores are differences of large numbers.
  for (const MssaShape& shape : {MssaShape{2, 4, 40, 64}, MssaShape{1, 8, 130, 24}})
    for (const double length : {10.0, 100.0, 1000.0})
      test::for_each_mask({.shape = shape, .size = length}, [&](const MssaCase& c) {
        at::Tensor a = c.tokens();
        a = a / a.norm(2, -1, true) * length;
        a.narrow(2, 9, 12).copy_(a.narrow(2, 8, 1).expand({shape.batch, shape.heads, 12, shape.dim}));  // some of them equal
        expect_exact(c, a);
      });
}

TEST(MssaKernel, HoldsForParallelDuplicateZeroAndLonelyTokens) {
  for (const double size : {1.0, 10.0, 60.0})
    test::for_each_mask({.shape = {.batch = 2, .heads = 2, .tokens = 40}, .size = size}, [](const MssaCase& c) {
      at::Tensor a = c.tokens().clone();
      a.select(1, 0).copy_(a.select(1, 0).narrow(1, 0, 1) * at::arange(1, 41).view({1, 40, 1}).to(at::kFloat) * 0.05);  // parallel
      a.select(1, 1).narrow(1, 5, 9).copy_(a.select(1, 1).narrow(1, 4, 1).expand({2, 9, 64}));                          // duplicates
      a.select(1, 1).narrow(1, 20, 6).zero_();
      a.select(1, 1).narrow(1, 30, 1).mul_(40);  // one token far longer than the rest: its row bound is far above theirs
      expect_exact(c, a);
    });
}

TEST(MssaKernel, FewAndManyHeadsAreCutTheSameWayForEveryThreadCount) {
  const int before = at::get_num_threads();
  for (const MssaShape& shape : {MssaShape{1, 1, 700, 64}, MssaShape{1, 3, 600, 32}, MssaShape{1, 2, 63, 128}, MssaShape{5, 7, 65, 16}})
    for (const bool causal : {true, false}) {
      const MssaCase c{.shape = shape, .options = {.causal = causal}};
      const at::Tensor a = c.tokens();
      expect_exact(c, a);
      test::on_every_path([&] {
        at::set_num_threads(1);
        const test::MssaResult one = kernel_pass(c, a);
        for (const int threads : {2, 3}) {
          at::set_num_threads(threads);
          const test::MssaResult more = kernel_pass(c, a);
          EXPECT_TRUE(one.out.equal(more.out) && one.gradient.equal(more.gradient)) << c.name() << ", " << threads << " threads";
        }
        at::set_num_threads(before);
      });
    }
}

TEST(MssaKernel, ReadsStridesInPlaceAndWritesTokensByHeads) {
  const MssaCase c{.shape = {.tokens = 33, .dim = 40}};
  const at::Tensor a = c.tokens();
  const at::Tensor wide = at::cat({a, a, a}, -1).narrow(-1, 40, 40).transpose(0, 2).contiguous().transpose(0, 2);
  ASSERT_NE(wide.stride(2), a.stride(2));
  test::on_every_path([&] {
    const test::MssaResult strided = kernel_pass(c, wide), contiguous = kernel_pass(c, a.contiguous());
    EXPECT_TRUE(strided.out.equal(contiguous.out) && strided.gradient.equal(contiguous.gradient)) << c.name();
    EXPECT_TRUE(strided.out.transpose(1, 2).is_contiguous());
    EXPECT_TRUE(strided.gradient.transpose(1, 2).is_contiguous());
  });
}

TEST(MssaKernel, InBfloat16IsAtMostTwiceAsFarAsLibTorch) {
  const std::vector<MssaShape> shapes = {{2, 3, 1, 16},  {2, 3, 2, 64},   {2, 3, 7, 24},   {2, 4, 31, 104}, {2, 4, 63, 128},
                                         {2, 4, 65, 40}, {2, 4, 197, 64}, {1, 9, 255, 72}, {1, 1, 1000, 32}};
  for (const MssaShape& shape : shapes)
    for (const double size : {1.0, 10.0})
      test::for_each_mask({.shape = shape, .size = size, .dtype = at::kBFloat16}, [](const MssaCase& c) { expect_exact(c); });
}

TEST(MssaKernel, CanBeDifferentiatedTwice) {
  const MssaCase c{.shape = {.batch = 1, .heads = 1, .tokens = 5, .dim = 16}, .rotary = true};
  const RotaryTable table(5, 16);
  const auto second = [&](const at::Tensor& tokens, bool own) {
    const at::Tensor a = tokens.detach().requires_grad_(), turned = rotate(a, table);
    const at::Tensor out = own ? mssa_kernel_attention(a, &table, {}) : attention_reference(turned, turned, a, {});
    const at::Tensor first = torch::autograd::grad({out.square().sum()}, {a}, {}, true, true)[0];
    return torch::autograd::grad({first.square().sum()}, {a})[0];
  };
  const at::Tensor a = c.tokens(), exact = second(a.to(at::kDouble), false);
  const double allowed = test::allowed_difference(exact, second(a, false));
  test::on_every_path([&] { EXPECT_LE(test::max_difference(second(a, true), exact), allowed) << c.name(); });
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
