// SPDX-License-Identifier: Apache-2.0
// aot bench mixers: every mixer of the catalogue at one shape, from (B, T, D) to (B, T, D), in turns with LibTorch's operators on the same
// weights where they have a form of it.
#include <cmath>
#include <functional>
#include <vector>

#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/mixers/mixer.h"
#include "aot/ops/heads.h"
#include "apps/bench.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

struct MixersFlags {
  int64_t batch = 8, width = 384, heads = 6, head_dim = 64, tokens = 256;
  std::string mask = "causal", dtype = "float32";
  double seconds = 3;
};

void describe(Fields& fields, MixersFlags& flags) {
  fields.heading("Bench");
  fields.add("batch", flags.batch, "sequences B").min(1).max(1 << 16);
  fields.add("width", flags.width, "width D").min(1).max(1 << 16);
  fields.add("heads", flags.heads, "heads K").min(1).max(4096);
  fields.add("head-dim", flags.head_dim, "dimension P of a head").min(1).max(1 << 16);
  fields.add("tokens", flags.tokens, "tokens T").min(1).max(1 << 20);
  fields.add("mask", flags.mask, "who reads whom").choices({"causal", "none"});
  fields.add("dtype", flags.dtype, "number format").choices({"float32", "bfloat16"});
  fields.add("seconds", flags.seconds, "time to measure each row for").above(0).max(3600);
}

using Update = std::function<at::Tensor(const at::Tensor& x)>;

/// One way to compute a mixer's update.
struct Way {
  Update update;
  std::vector<at::Tensor> weights;

  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const {
    const c10::NoGradGuard no_grad;
    return update(x);
  }
  /// The gradient of x; those of the weights are made and dropped.
  [[nodiscard]] at::Tensor backward(const at::Tensor& x, const at::Tensor& gradient) const {
    std::vector<at::Tensor> leaves = {x.detach().requires_grad_()};
    leaves.insert(leaves.end(), weights.begin(), weights.end());
    return torch::autograd::grad({update(leaves.front())}, leaves, {gradient})[0];
  }
};

std::vector<at::Tensor> values(const Parameters& parameters) {
  std::vector<at::Tensor> out;
  for (const Parameter& parameter : parameters) out.push_back(parameter.value);
  return out;
}

/// The mixer itself. `taps` reach it as listeners.
Way own_way(const Mixer& mixer, bool causal, const TapScope& taps = {}) {
  return {[&mixer, causal, taps](const at::Tensor& x) { return mixer.forward({.x = x, .causal = causal, .taps = taps}); },
          values(mixer.parameters())};
}

/// Linear layers and fused attention by LibTorch's operators, for the mixers that are made of them; else nothing.
Way library_way(const std::string& name, const Mixer& mixer, int64_t heads, bool causal) {
  if (name != "mssa" && name != "mhsa") return {};
  const std::vector<at::Tensor> weights = values(mixer.parameters());  // u or w_qkv; w_out
  return {[weights, heads, causal, parts = name == "mssa" ? 1 : 3](const at::Tensor& x) {
            const std::vector<at::Tensor> split = at::linear(x, weights[0]).chunk(parts, -1);
            const at::Tensor q = split_heads(split.front(), heads), v = split_heads(split.back(), heads);  // (B, K, T, P)
            const at::Tensor k = parts == 1 ? q : split_heads(split[1], heads);
            return at::linear(join_heads(at::scaled_dot_product_attention(q, k, parts == 1 ? q : v, {}, 0.0, causal)), weights[1]);
          },
          weights};
}

void bench_mixer(const MixerEntry& entry, const MixersFlags& flags, const Ceilings& ceilings, bool json) {
  const bool causal = flags.mask == "causal";
  const MixerOptions options{
      .width = flags.width, .heads = flags.heads, .head_dim = flags.head_dim, .context = flags.tokens, .causal = causal};
  at::Generator seeded = make_generator(1), same = make_generator(1);
  const MixerPtr mixer = make_mixer(entry.name, options, seeded), exact_mixer = make_mixer(entry.name, options, same);
  if (causal ? !mixer->capabilities().causal : !mixer->capabilities().bidirectional) {
    log_info(str(entry.name, " is not ", causal ? "causal" : "bidirectional", ": left out"));
    return;
  }
  move_parameters(mixer->parameters(), at::kCPU, parse_dtype(flags.dtype));
  move_parameters(exact_mixer->parameters(), at::kCPU, at::kDouble);
  const auto random = [&] {
    return at::randn({flags.batch, flags.tokens, flags.width}, seeded, at::TensorOptions(at::kFloat)).to(parse_dtype(flags.dtype));
  };
  const at::Tensor x = random(), gradient = random();

  const Way ours = own_way(*mixer, causal), theirs = library_way(entry.name, *mixer, flags.heads, causal);
  Taps explicit_form;  // who listens to the weights gets the form that has them
  explicit_form.listen("weights", [](const std::string&, const at::Tensor& weights) { return weights; });
  const Way exact = own_way(*exact_mixer, causal, {&explicit_form, ""});
  const at::Tensor first = x.narrow(0, 0, 1), first_gradient = gradient.narrow(0, 0, 1);  // the sample
  const at::Tensor exact_out = exact.forward(first.to(at::kDouble)),
                   exact_gradient = exact.backward(first.to(at::kDouble), first_gradient.to(at::kDouble));

  const auto forward_flop = static_cast<double>(mixer->forward_flop(flags.batch, flags.tokens, causal));
  const auto row = [&](const char* what, double times) {
    return Comparison{.what = str(entry.name, " ", what),
                      .dtype = flags.dtype,
                      .shape = {{"batch", flags.batch},
                                {"width", flags.width},
                                {"heads", flags.heads},
                                {"head_dim", flags.head_dim},
                                {"tokens", flags.tokens},
                                {"mask", flags.mask}},
                      .flop = times * forward_flop,
                      .more = {{"mixer", entry.name}}};
  };
  Comparison forward = row("forward", 1), both = row("forward+backward", 3);
  forward.ours = [&] { (void)ours.forward(x); };
  forward.error = relative_error(ours.forward(first), exact_out);
  both.ours = [&] { (void)ours.backward(x, gradient); };
  both.error = relative_error(ours.backward(first, first_gradient), exact_gradient);
  if (theirs.update) {
    forward.theirs = [&] { (void)theirs.forward(x); };
    forward.their_error = relative_error(theirs.forward(first), exact_out);
    both.theirs = [&] { (void)theirs.backward(x, gradient); };
    both.their_error = relative_error(theirs.backward(first, first_gradient), exact_gradient);
  }
  compare(forward, ceilings, flags.seconds, json);
  compare(both, ceilings, flags.seconds, json);
}

void run(const MixersFlags& flags, const GeneralOptions& general) {
  const Ceilings ceilings = measured_ceilings();
  for (const MixerEntry& entry : mixer_catalogue()) bench_mixer(entry, flags, ceilings, general.json);
}

}  // namespace

void add_bench_mixers(CLI::App& bench, GeneralOptions& general) {
  add_bench<MixersFlags>(bench, general,
                         {"mixers", "every mixer of the catalogue, forward and backward, beside LibTorch's operators",
                          "  aot bench mixers --tokens 1024 --batch 2\n  aot bench mixers --mask none --tokens 197 --batch 16 --json\n"},
                         describe, run);
}

}  // namespace aot
