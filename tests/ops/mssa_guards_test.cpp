// SPDX-License-Identifier: Apache-2.0
// What keeps the kernels' shortcuts right: their guards, and what happens to numbers that are not finite.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/kernels/cpu/mssa.h"
#include "aot/ops/tasks.h"
#include "tests/ops/mssa_cases.h"

namespace aot {
namespace {

using test::expect_exact;
using test::MssaCase;
using test::MssaResult;

/// The kernels alone, without what ops/ does when they meet a number that is not finite, in scratch memory full of NaN, with a guard of
/// their own.
MssaResult bare(const MssaCase& c, const at::Tensor& a, float guard) {
  const auto nan = [](at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
    return at::full(shape, std::numeric_limits<float>::quiet_NaN(), dtype);
  };
  const auto view = [](const at::Tensor& t) { return HeadsView{t.data_ptr(), t.stride(0), t.stride(2), t.stride(1)}; };
  const at::Tensor out = nan(a.transpose(1, 2).sizes(), a.scalar_type()).transpose(1, 2), dw = out.clone(),
                   d_out = c.d_out(a.scalar_type());
  const at::Tensor statistics = nan({a.size(0), a.size(1), 2, a.size(2)});
  const RotaryTable table = rotary_table(c);
  at::Tensor cos, sin;
  MssaParams params{.batch = a.size(0), .heads = a.size(1), .tokens = a.size(2), .dim = a.size(3), .causal = c.options.causal};
  params.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(a.size(3))));
  params.guard = guard;
  params.bfloat16 = a.scalar_type() == at::kBFloat16;
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

TEST(MssaGuards, ScratchThatWasNotWrittenIsNotRead) {
  test::on_every_path([] {
    for (const int64_t tokens : {1, 7, 33, 65, 600})  // the last is cut into parts
      for (const int64_t dim : {24, 64})
        test::for_each_mask({.shape = {.batch = 2, .heads = tokens == 600 ? 1 : 4, .tokens = tokens, .dim = dim}}, [](MssaCase c) {
          for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
            c.dtype = dtype;
            const at::Tensor a = c.tokens();
            const MssaResult dirty = bare(c, a, 60), clean = kernel_pass(c, a);
            EXPECT_TRUE(dirty.out.equal(clean.out)) << c.name();
            EXPECT_TRUE(dirty.gradient.equal(clean.gradient)) << c.name();
          }
        });
  });
}

TEST(MssaGuards, NanAndInfinityComeOutWhereThePlainFormHasThem) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity})
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
      for (const int64_t place : {0, 17, 39})  // 39, and 0 where the sequence is padded, are padding where keys are masked
        test::for_each_mask({.shape = {.tokens = 40}, .dtype = dtype}, [&](const MssaCase& c) {
          at::Tensor a = c.tokens().clone();
          a[1][2][place][5].fill_(bad);
          const MssaResult wanted = plain_pass(c, a);
          test::on_every_path([&] {
            const MssaResult ours = kernel_pass(c, a);
            EXPECT_TRUE(ours.out.isnan().equal(wanted.out.isnan())) << c.name() << ", " << bad << " at " << place;
            EXPECT_TRUE(ours.gradient.isnan().equal(wanted.gradient.isnan())) << c.name() << ", " << bad << " at " << place;
            EXPECT_TRUE(ours.gradient.isnan().any().item<bool>()) << c.name();
            EXPECT_FALSE(ours.out[0].isnan().any().item<bool>()) << c.name();
          });
        });
}

TEST(MssaGuards, WhatIsNotFiniteNeedsThePlainForm) {
  const MssaCase c{.shape = {.tokens = 40}};
  at::Tensor a = c.tokens().clone();
  a[1][2][17][5].fill_(std::numeric_limits<float>::quiet_NaN());
  const MssaResult wanted = plain_pass(c, a);
  test::on_every_path([&] {
    const MssaResult unguarded = bare(c, a, 60);
    EXPECT_FALSE(unguarded.out.isnan().equal(wanted.out.isnan()) && unguarded.gradient.isnan().equal(wanted.gradient.isnan())) << c.name();
  });
}

TEST(MssaGuards, ABadGradientIsNotLost) {
  for (const bool causal : {true, false}) {
    const MssaCase c{.shape = {.tokens = 40}, .options = {.causal = causal}};
    test::on_every_path([&] {
      const at::Tensor a = c.tokens().clone().requires_grad_(), out = mssa_kernel_attention(a, nullptr, c.options);
      at::Tensor g = at::zeros(out.sizes());
      g[0][1][20][3].fill_(std::numeric_limits<float>::infinity());
      EXPECT_TRUE(torch::autograd::grad({out}, {a}, {g})[0].isnan().any().item<bool>()) << c.name();
    });
  }
}

TEST(MssaGuards, AreNeededInOutputAndGradient) {
  // Long and short tokens side by side: with the guard lifted the short ones lose all their weights. Masked, a token's own weight may not
  // save it either: long tokens all of one length, each padded token reading others that lie across.
  test::for_each_mask({.shape = {.batch = 2, .heads = 4, .tokens = 40}, .size = 3}, [](const MssaCase& c) {
    at::Tensor a = c.tokens().clone();
    if (c.options.key_mask.defined())
      a = a / a.norm(2, -1, true) * 45;
    else
      a.select(2, 3).mul_(15);
    expect_exact(c, a);
    const MssaResult exact = plain_pass(c, a.to(at::kDouble));
    const auto distance = [](const at::Tensor& out, const at::Tensor& truth) {
      return test::max_difference(out, truth) / truth.abs().max().item<double>();
    };
    test::on_every_path([&] {
      const MssaResult lifted = bare(c, a, std::numeric_limits<float>::infinity());
      EXPECT_FALSE(distance(lifted.out, exact.out) < 1e-2) << "output, " << c.name();
      EXPECT_FALSE(distance(lifted.gradient, exact.gradient) < 1e-2) << "gradient, " << c.name();
    });
  });
}

TEST(MssaGuards, FallbacksAreCountedByHead) {
  test::for_each_mask({.shape = {.tokens = 65}}, [](const MssaCase& c) {
    MssaCase large = c;
    large.size = 30;
    test::on_every_path([&] {
      const MssaCounts start = mssa_counts();
      static_cast<void>(kernel_pass(c, c.tokens()));
      const MssaCounts middle = mssa_counts();
      EXPECT_EQ(middle.heads - start.heads, 6) << c.name();
      EXPECT_EQ(middle.fallbacks - start.fallbacks, 0) << c.name();
      static_cast<void>(kernel_pass(large, large.tokens()));
      EXPECT_EQ(mssa_counts().fallbacks - middle.fallbacks, 6) << c.name();
    });
  });
}

}  // namespace
}  // namespace aot
