// SPDX-License-Identifier: Apache-2.0
// aot bench attention: the attention core of one layer, from (B, T, K P) to (B, T, K P), our kernels and LibTorch's operator in turns.
#include <cmath>
#include <functional>
#include <utility>

#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/kernels/cpu/mssa.h"
#include "aot/ops/mssa_kernel.h"
#include "apps/bench.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

struct AttentionFlags {
  int64_t batch = 8, heads = 6, tokens = 256, head_dim = 64;
  std::string mask = "causal", dtype = "float32";
  bool rotary = false;
  double norm = 1;
  double seconds = 3;
};

void describe(Fields& fields, AttentionFlags& flags) {
  fields.heading("Bench");
  fields.add("batch", flags.batch, "sequences B").min(1).max(1 << 16);
  fields.add("heads", flags.heads, "heads K").min(1).max(4096);
  fields.add("tokens", flags.tokens, "tokens T").min(1).max(1 << 20);
  fields.add("head-dim", flags.head_dim, "dimension P of a head: a multiple of 8 from 16 to 128").min(16).max(128);
  fields.add("mask", flags.mask, "who reads whom").choices({"causal", "none"});
  fields.add("rotary", flags.rotary, "rotary positions; LibTorch's way turns its queries and keys first");
  fields.add("dtype", flags.dtype, "number format").choices({"float32", "bfloat16"});
  fields.add("norm", flags.norm, "mean score n of a token with itself").above(0).max(1e6);
  fields.add("seconds", flags.seconds, "time to measure each row for").above(0).max(3600);
}

struct Way {
  std::function<at::Tensor(const at::Tensor&)> attend;
  at::Tensor input, gradient;  // (B, K, T, P)

  [[nodiscard]] at::Tensor forward() const {
    const c10::NoGradGuard no_grad;
    return attend(input);
  }
  [[nodiscard]] at::Tensor backward() const {
    const at::Tensor leaf = input.detach().requires_grad_();
    return torch::autograd::grad({attend(leaf)}, {leaf}, {gradient})[0];
  }
};

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).abs().max().item<double>();
}

/// Largest errors of output and gradient of the first sequence against the plain form in float64.
std::pair<double, double> errors(const Way& way, const AttentionOptions& options, const RotaryTable* rotary) {
  const Way sample{way.attend, way.input.narrow(0, 0, 1), way.gradient.narrow(0, 0, 1)};
  const Way exact{[&](const at::Tensor& a) {
                    const at::Tensor turned = rotary != nullptr ? rotate(a, *rotary) : a;
                    return attention_reference(turned, turned, a, options);
                  },
                  sample.input.to(at::kDouble), sample.gradient.to(at::kDouble)};
  return {largest_difference(sample.forward(), exact.forward()), largest_difference(sample.backward(), exact.backward())};
}

void run(const AttentionFlags& flags, const GeneralOptions& general) {
  if (!mssa_kernel_takes(flags.head_dim))
    throw UsageError(str("--head-dim ", flags.head_dim, " is not a multiple of 8 from 16 to 128"), "those are what the kernels serve");
  const bool causal = flags.mask == "causal";
  const int64_t inner = flags.heads * flags.head_dim;
  const auto generator = make_generator(1);
  const auto tokens = [&](double size) {  // heads as a projection leaves them
    return (at::randn({flags.batch, flags.tokens, inner}, generator, at::TensorOptions(at::kFloat)) * size)
        .to(parse_dtype(flags.dtype))
        .view({flags.batch, flags.tokens, flags.heads, flags.head_dim})
        .transpose(1, 2);
  };
  // scale |w|^2 = P^1/2 size^2 on average
  const at::Tensor a = tokens(std::sqrt(flags.norm / std::sqrt(static_cast<double>(flags.head_dim)))), g = tokens(1);
  const RotaryTable table = flags.rotary ? RotaryTable(flags.tokens, flags.head_dim) : RotaryTable();
  const RotaryTable* rotary = flags.rotary ? &table : nullptr;
  const AttentionOptions options{.causal = causal};
  const Way ours{[&](const at::Tensor& x) { return mssa_kernel_attention(x, rotary, options); }, a, g};
  const Way theirs{[&](const at::Tensor& x) {
                     const at::Tensor turned = rotary != nullptr ? rotate(x, *rotary) : x;
                     return at::scaled_dot_product_attention(turned, turned, x, {}, 0.0, causal);
                   },
                   a.contiguous(), g.contiguous()};  // LibTorch's own layout

  const MssaCounts before = mssa_counts();
  const auto [our_error, our_gradient_error] = errors(ours, options, rotary);
  const auto [their_error, their_gradient_error] = errors(theirs, options, rotary);
  const MssaCounts after = mssa_counts();
  const Json more = {{"fallbacks", fallback_share(before, after)}};
  const Json shape = {{"batch", flags.batch}, {"heads", flags.heads},   {"tokens", flags.tokens}, {"head_dim", flags.head_dim},
                      {"mask", flags.mask},   {"rotary", flags.rotary}, {"norm", flags.norm}};
  const double pairs = static_cast<double>(flags.batch * flags.tokens * flags.tokens) * (causal ? 0.5 : 1);
  const auto row = [&](const char* what, double products) {
    const double flop = products * 2 * pairs * static_cast<double>(inner);
    return Comparison{.what = what, .dtype = flags.dtype, .shape = shape, .flop = flop, .useful = true, .more = more};
  };
  const Ceilings ceilings = measured_ceilings();
  // Products of T x T by P: scores and values forward, and five of a perfect recomputing kernel backward.
  Comparison forward = row("attention forward", 2);
  forward.ours = [&] { (void)ours.forward(); };
  forward.theirs = [&] { (void)theirs.forward(); };
  forward.error = our_error;
  forward.their_error = their_error;
  compare(forward, ceilings, flags.seconds, general.json);

  Comparison both = row("attention forward+backward", 7);
  both.ours = [&] { (void)ours.backward(); };
  both.theirs = [&] { (void)theirs.backward(); };
  both.error = our_gradient_error;
  both.their_error = their_gradient_error;
  compare(both, ceilings, flags.seconds, general.json);
}

}  // namespace

void add_bench_attention(CLI::App& bench, GeneralOptions& general) {
  add_bench<AttentionFlags>(
      bench, general,
      {"attention", "the attention core of a layer, forward and backward, beside LibTorch's operator",
       "  aot bench attention --tokens 1024 --batch 4 --heads 16\n  aot bench attention --mask none --tokens 197 --batch 16\n"},
      describe, run);
}

}  // namespace aot
