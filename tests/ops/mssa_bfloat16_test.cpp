// SPDX-License-Identifier: Apache-2.0
// Subspace attention in bfloat16 on every path: against the plain form in float64, with the plain form's own bfloat16 error as yardstick.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/kernels/cpu/mssa.h"
#include "aot/ops/mssa_kernel.h"
#include "aot/ops/tasks.h"
#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

struct Bfloat16Case {
  int64_t batch = 2, heads = 4, tokens = 1, dim = 64;
  AttentionOptions options;
  bool rotary = false;
  double norm = 1;  // mean score of a token with itself

  [[nodiscard]] std::string name() const {
    return str("B ", batch, " K ", heads, " T ", tokens, " P ", dim, options.causal ? " causal" : "",
               options.key_mask.defined() ? " masked" : "", rotary ? " rotary" : "", " norm ", norm, " path ", name_of(cpu_path()));
  }
  [[nodiscard]] at::Tensor normal(int seed, double size) const {
    return (test::normal({batch, tokens, heads, dim}, seed) * size).to(at::kBFloat16).transpose(1, 2);  // (B, K, T, P)
  }
  [[nodiscard]] at::Tensor input() const { return normal(1, std::sqrt(norm / std::sqrt(static_cast<double>(dim)))); }
};

struct Bfloat16Pass {
  at::Tensor out, gradient;
};

Bfloat16Pass differentiate(const Bfloat16Case& s, const at::Tensor& tokens,
                           const std::function<at::Tensor(const at::Tensor&, const RotaryTable*)>& f) {
  const RotaryTable table = s.rotary ? RotaryTable(s.tokens, s.dim) : RotaryTable();
  const at::Tensor a = tokens.detach().requires_grad_();
  const at::Tensor out = f(a, s.rotary ? &table : nullptr);
  return {out.detach(), test::gradients(out, s.normal(2, 1).to(out.scalar_type()), {a})[0]};
}

Bfloat16Pass plain(const Bfloat16Case& s, const at::Tensor& tokens) {
  return differentiate(s, tokens, [&](const at::Tensor& a, const RotaryTable* table) {
    const at::Tensor turned = table != nullptr ? rotate(a, *table) : a;
    return attention_reference(turned, turned, a, s.options);
  });
}

Bfloat16Pass kernel(const Bfloat16Case& s, const at::Tensor& tokens) {
  return differentiate(s, tokens,
                       [&](const at::Tensor& a, const RotaryTable* table) { return mssa_kernel_attention(a, table, s.options); });
}

void expect_close(const Bfloat16Case& s, const at::Tensor& tokens) {
  const Bfloat16Pass exact = plain(s, tokens.to(at::kDouble)), rounded = plain(s, tokens), ours = kernel(s, tokens);
  const auto bound = [](const at::Tensor& truth, const at::Tensor& other) {
    return std::max(2 * test::max_difference(other, truth), std::pow(2.0, -9) * truth.abs().max().item<double>());
  };
  EXPECT_LE(test::max_difference(ours.out, exact.out), bound(exact.out, rounded.out)) << "output, " << s.name();
  EXPECT_LE(test::max_difference(ours.gradient, exact.gradient), bound(exact.gradient, rounded.gradient)) << "gradient, " << s.name();
}

/// The second sequence is padded at both ends.
at::Tensor both_ends(const Bfloat16Case& s) {
  at::Tensor read = at::ones({s.batch, s.tokens}, at::kBool);
  read[1].narrow(0, 0, (s.tokens + 2) / 3).fill_(false);
  read[1][s.tokens - 1].fill_(false);
  return read;
}

class MssaBfloat16 : public testing::TestWithParam<CpuPath> {
 protected:
  void SetUp() override { set_cpu_path(GetParam()); }

 private:
  test::KeepCpuPath keep_;
};

TEST_P(MssaBfloat16, IsAtMostTwiceAsFarAsThePlainForm) {
  for (const int64_t tokens : {1, 7, 33, 65, 197})
    for (const int64_t dim : {16, 24, 40, 64, 128})
      for (const bool causal : {true, false})
        for (const bool rotary : {false, true}) {
          const Bfloat16Case s{.tokens = tokens, .dim = dim, .options = {.causal = causal}, .rotary = rotary};
          expect_close(s, s.input());
        }
}

TEST_P(MssaBfloat16, HoldsThatForEveryNorm) {
  for (const double norm : {1, 10, 100, 1000})
    for (const bool causal : {true, false})
      for (const bool rotary : {false, true})
        for (const bool masked : {false, true}) {
          Bfloat16Case s{.tokens = 97, .options = {.causal = causal}, .rotary = rotary, .norm = norm};
          if (masked) s.options.key_mask = both_ends(s);
          expect_close(s, s.input());
        }
}

TEST_P(MssaBfloat16, HoldsThatWhereTheGuardsFail) {
  for (const bool causal : {true, false}) {
    const Bfloat16Case s{.tokens = 70, .options = {.causal = causal}};
    const at::Tensor a = s.input().clone();
    a.select(2, 3).mul_(40);
    a.narrow(2, 4, 30).mul_(3);
    a.narrow(2, 40, 6).zero_();
    const MssaCounts before = mssa_counts();
    expect_close(s, a);
    EXPECT_EQ(mssa_counts().fallbacks - before.fallbacks, s.batch * s.heads) << s.name();
  }
}

TEST_P(MssaBfloat16, ARowThatReadsOneTokenIsThatToken) {
  // Weights are rounded, and a single one still counts 1: alone, and where a token's score with itself is far above all others.
  for (const bool causal : {true, false})
    for (const int64_t tokens : {1, 50}) {
      const Bfloat16Case s{.tokens = tokens, .options = {.causal = causal}, .norm = tokens == 1 ? 3.3 : 400.0};
      const at::Tensor a = s.input();
      const Bfloat16Pass ours = kernel(s, a);
      EXPECT_TRUE(ours.out.equal(a)) << s.name();
      EXPECT_LT(test::max_difference(ours.gradient, s.normal(2, 1)), 1e-3) << s.name();
    }
}

TEST_P(MssaBfloat16, GivesTheSameBitsForEveryThreadCount) {
  const int before = at::get_num_threads();
  for (const Bfloat16Case& shape :
       {Bfloat16Case{.batch = 1, .heads = 1, .tokens = 700}, Bfloat16Case{.batch = 3, .heads = 5, .tokens = 65, .dim = 16}})
    for (const bool causal : {true, false}) {
      Bfloat16Case s = shape;
      s.options.causal = causal;
      const at::Tensor a = s.input();
      expect_close(s, a);
      at::set_num_threads(1);
      const Bfloat16Pass one = kernel(s, a);
      at::set_num_threads(2);
      const Bfloat16Pass two = kernel(s, a);
      at::set_num_threads(before);
      EXPECT_TRUE(one.out.equal(two.out) && one.gradient.equal(two.gradient)) << s.name();
    }
}

TEST_P(MssaBfloat16, ATokenThatReadsNothingGetsZero) {
  for (const bool causal : {true, false}) {
    Bfloat16Case s{.tokens = 20, .options = {.causal = causal, .key_mask = at::zeros({2, 20}, at::kBool)}};
    s.options.key_mask[0].fill_(true);
    const Bfloat16Pass ours = kernel(s, s.input());
    EXPECT_FALSE(ours.out[1].any().item<bool>()) << s.name();
    EXPECT_FALSE(ours.gradient[1].any().item<bool>()) << s.name();
    EXPECT_TRUE(ours.out[0].any().item<bool>()) << s.name();
  }
}

TEST_P(MssaBfloat16, NanAndInfinityComeOut) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const bool causal : {true, false}) {
      const Bfloat16Case s{.tokens = 40, .options = {.causal = causal}};
      const at::Tensor a = s.input().clone();
      a[1][2][17][5].fill_(bad);
      const Bfloat16Pass ours = kernel(s, a), wanted = plain(s, a);
      EXPECT_TRUE(ours.out.isnan().equal(wanted.out.isnan())) << s.name();
      EXPECT_TRUE(ours.gradient.isnan().equal(wanted.gradient.isnan())) << s.name();
    }
}

TEST_P(MssaBfloat16, DoesNotReadScratchThatItDidNotWrite) {
  for (const int64_t tokens : {1, 33, 600})  // the last is cut into parts
    for (const int64_t dim : {24, 64})
      for (const bool causal : {true, false})
        for (const bool rotary : {false, true}) {
          const Bfloat16Case s{
              .batch = 2, .heads = tokens == 600 ? 1 : 4, .tokens = tokens, .dim = dim, .options = {.causal = causal}, .rotary = rotary};
          const at::Tensor a = s.input(), d_out = s.normal(2, 1), out = at::zeros({2, tokens, s.heads, dim}, at::kBFloat16).transpose(1, 2);
          const at::Tensor dw = out.clone();
          const RotaryTable table(tokens, dim);
          const at::Tensor cos = table.cos(0, tokens, at::kFloat), sin = table.sin(0, tokens, at::kFloat);
          const auto view = [](const at::Tensor& t) { return HeadsView{t.data_ptr(), t.stride(0), t.stride(2), t.stride(1)}; };
          MssaParams params{.batch = 2, .heads = s.heads, .tokens = tokens, .dim = dim, .causal = causal, .bfloat16 = true};
          params.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(dim)));
          if (rotary) {
            params.cos = cos.const_data_ptr<float>();
            params.sin = sin.const_data_ptr<float>();
          }
          params.w = view(a);
          params.out = view(out);
          params.d_out = view(d_out);
          params.dw = view(dw);
          const int64_t parts = mssa_parts(params), tasks = 2 * s.heads * parts;
          const at::Tensor statistics = at::zeros({2, s.heads, 2, tokens}), partial = at::zeros({tasks, tokens, dim});
          params.statistics = statistics.data_ptr<float>();
          params.partial = partial.data_ptr<float>();
          std::vector<uint8_t> notices(static_cast<size_t>(tasks));
          params.notices = notices.data();
          for (const auto pass : {mssa_forward, mssa_backward})
            run_tasks(tasks, mssa_scratch(params), [&](int64_t task, float* scratch) {
              std::fill_n(scratch, mssa_scratch(params), std::numeric_limits<float>::quiet_NaN());
              pass(params, task, task + 1, scratch);
            });
          if (parts > 1) mssa_backward_sum(params, 0, 2 * s.heads);
          const Bfloat16Pass wanted = kernel(s, a);
          EXPECT_TRUE(out.equal(wanted.out) && dw.equal(wanted.gradient)) << s.name();
        }
}

INSTANTIATE_TEST_SUITE_P(EveryPath, MssaBfloat16, testing::ValuesIn(supported_cpu_paths()),
                         [](const auto& parameter) { return std::string(name_of(parameter.param)); });

}  // namespace
}  // namespace aot
