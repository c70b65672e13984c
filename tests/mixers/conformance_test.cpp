// SPDX-License-Identifier: Apache-2.0
// What every mixer of the catalogue must hold; printed as one table of pass, FAIL, or the capability that exempts it.
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/core/tensor_file.h"
#include "aot/io/error.h"
#include "aot/mixers/mixer.h"
#include "tests/support/files.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kWidth = 10, kHeads = 3, kDim = 4, kContext = 70;  // P != D / K, D no power of two

/// One mixer in one of its uses.
struct Subject {
  std::string name;
  MixerOptions options;

  [[nodiscard]] MixerPtr make(at::ScalarType dtype = at::kDouble) const {
    at::Generator generator = make_generator(5);
    MixerPtr mixer = make_mixer(name, options, generator);
    const c10::NoGradGuard no_grad;
    for (const Parameter& parameter : mixer->parameters()) {
      // Larger weights than at the start of training, so that the mixing matters; biases and temperatures away from 0 and 1.
      at::Tensor value = parameter.value;
      value.set_data((value + test::normal(value.sizes(), 6) * 0.3).to(dtype));
      value.requires_grad_();
    }
    return mixer;
  }
  [[nodiscard]] MixerInput input(const at::Tensor& x) const { return {.x = x, .causal = options.causal}; }
};

constexpr const char* kPass = "pass";
std::string verdict(bool passed) {
  return passed ? kPass : "FAIL";
}

std::string shape(const Subject& s) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const MixerPtr mixer = s.make(dtype);
    for (const int64_t tokens : {1, 7, 63, 65}) {
      const at::Tensor x = test::normal({tokens, 2, kWidth}, 1, dtype).transpose(0, 1);  // strided
      const at::Tensor y = mixer->forward(s.input(x));
      if (y.sizes() != x.sizes() || y.scalar_type() != dtype || !y.isfinite().all().item<bool>()) return "FAIL";
      if (test::max_difference(y, mixer->forward(s.input(x.contiguous()))) > test::tolerance(dtype)) return "FAIL";
    }
  }
  return kPass;
}

std::string determinism(const Subject& s) {
  const MixerPtr first = s.make(), second = s.make();
  const at::Tensor x = test::normal({2, 9, kWidth}, 1);
  return verdict(first->forward(s.input(x)).equal(second->forward(s.input(x))));
}

std::string batch(const Subject& s) {
  const MixerPtr mixer = s.make();
  const at::Tensor x = test::normal({3, 9, kWidth}, 1), together = mixer->forward(s.input(x));
  const at::Tensor alone = mixer->forward(s.input(x.narrow(0, 1, 1)));
  return verdict(test::max_difference(together.narrow(0, 1, 1), alone) < 1e-12);
}

std::string padding(const Subject& s) {
  const MixerPtr mixer = s.make();
  if (!mixer->capabilities().key_mask) return "exempt: key_mask";
  at::Tensor real = at::ones({2, 9}, at::kBool);
  real.narrow(1, 0, 2).fill_(false);  // on the left: the first causal rows may read nothing
  real.narrow(0, 1, 1).narrow(1, 7, 2).fill_(false);
  const at::Tensor x = test::normal({2, 9, kWidth}, 1), hidden = real.logical_not().unsqueeze(2);
  MixerInput input = s.input(x);
  input.key_mask = real;
  const at::Tensor before = mixer->forward(input);
  input.x = at::where(hidden, test::normal(x.sizes(), 2) * 1e3, x);
  const at::Tensor after = mixer->forward(input);
  return verdict(before.isfinite().all().item<bool>() && after.isfinite().all().item<bool>() &&
                 test::max_difference(before.masked_fill(hidden, 0), after.masked_fill(hidden, 0)) < 1e-10);
}

std::string who_reads_whom(const Subject& s) {
  const MixerPtr mixer = s.make();
  if (!mixer->capabilities().mask) return "exempt: mask";
  // Two islands, and token 8 alone that reads nothing, not even itself.
  at::Tensor mask = at::zeros({9, 9}, at::kBool);
  mask.narrow(0, 0, 3).narrow(1, 0, 3).fill_(true);
  mask.narrow(0, 3, 5).narrow(1, 3, 5).fill_(true);
  const at::Tensor x = test::normal({2, 9, kWidth}, 1);
  MixerInput input = s.input(x), first = s.input(x.narrow(1, 0, 3));
  input.mask = mask;
  const at::Tensor y = mixer->forward(input);
  at::Tensor other = x.clone();
  other.narrow(1, 3, 6).mul_(1e3);
  input.x = other;
  const at::Tensor after = mixer->forward(input);
  return verdict(test::max_difference(y.narrow(1, 0, 3), mixer->forward(first)) < 1e-12 &&
                 test::max_difference(y.narrow(1, 0, 3), after.narrow(1, 0, 3)) < 1e-12 && y.select(1, 8).equal(after.select(1, 8)));
}

std::string gradient(const Subject& s) {
  const MixerPtr mixer = s.make();
  const at::Tensor x = test::normal({2, 5, kWidth}, 1).requires_grad_();
  std::vector<at::Tensor> inputs{x};
  for (const Parameter& parameter : mixer->parameters()) inputs.push_back(parameter.value);
  return verdict(test::gradient_error([&] { return mixer->forward(s.input(x)); }, inputs) < 1e-7);
}

std::string causality(const Subject& s) {
  if (!s.options.causal) return "exempt: bidirectional";
  const MixerPtr mixer = s.make();
  const at::Tensor x = test::normal({2, 9, kWidth}, 1).requires_grad_(), y = mixer->forward(s.input(x));
  for (int64_t t = 0; t < 8; ++t) {
    at::Tensor g = at::zeros_like(x, at::MemoryFormat::Contiguous).detach();
    g.select(1, t).fill_(1);
    const at::Tensor gradient = test::gradients(mixer->forward(s.input(x)), g, {x})[0];
    if (gradient.narrow(1, t + 1, 8 - t).abs().max().item<double>() != 0) return "FAIL";
    const at::Tensor other = at::cat({x.detach().narrow(1, 0, t + 1), test::normal({2, 8 - t, kWidth}, 2)}, 1);
    if (test::max_difference(mixer->forward(s.input(other)).narrow(1, 0, t + 1), y.narrow(1, 0, t + 1)) > 1e-12) return "FAIL";
  }
  return kPass;
}

std::string decode(const Subject& s) {
  if (!s.options.causal) return "exempt: bidirectional";
  const c10::NoGradGuard no_grad;
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const MixerPtr mixer = s.make(dtype);
    if (!mixer->capabilities().decode) return "exempt: decode";
    const at::Tensor x = test::normal({2, 37, kWidth}, 1, dtype), whole = mixer->forward(s.input(x));
    const auto decoded = [&](DecodeState& state, const at::Tensor& tokens, int64_t chunk) {
      std::vector<at::Tensor> parts;
      for (int64_t t = 0; t < tokens.size(1); t += chunk)
        parts.push_back(mixer->step(tokens.narrow(1, t, std::min(chunk, tokens.size(1) - t)), state));
      return at::cat(parts, 1);
    };
    for (const int64_t chunk : {1, 3, 16, 37}) {
      const auto state = mixer->make_state(2, 37);
      if (test::max_difference(decoded(*state, x, chunk), whole) > test::tolerance(dtype) || state->tokens() != 37) return "FAIL";
    }
    const auto state = mixer->make_state(2, 37);
    decoded(*state, x, 37);
    const int64_t kept = mixer->capabilities().truncate ? 20 : 0;
    state->truncate(kept);
    if (test::max_difference(decoded(*state, x.narrow(1, kept, 37 - kept), 3), whole.narrow(1, kept, 37 - kept)) > test::tolerance(dtype))
      return "FAIL";
    const auto prefix = mixer->make_state(2, 37);
    decoded(*prefix, x.narrow(1, 0, 20), 20);
    const at::Tensor swap = at::arange(1, -1, -1);
    prefix->reorder(swap);
    const at::Tensor rest = decoded(*prefix, x.index_select(0, swap).narrow(1, 20, 17), 1);
    if (test::max_difference(rest, whole.index_select(0, swap).narrow(1, 20, 17)) > test::tolerance(dtype)) return "FAIL";
  }
  return kPass;
}

std::string permutation(const Subject& s) {
  const MixerPtr mixer = s.make();
  if (s.options.causal || s.options.rotary || !mixer->capabilities().permutation) return "exempt: positions";
  const at::Tensor x = test::normal({2, 9, kWidth}, 1), order = at::arange(8, -1, -1);
  return verdict(
      test::max_difference(mixer->forward(s.input(x.index_select(1, order))), mixer->forward(s.input(x)).index_select(1, order)) < 1e-12);
}

/// Listening to the weights takes the explicit path, which must give what the fused one does.
std::string explicit_path(const Subject& s) {
  const MixerPtr mixer = s.make();
  if (!mixer->capabilities().operator_matrix) return "exempt: operator_matrix";
  const at::Tensor x = test::normal({2, 9, kWidth}, 1);
  Taps taps;
  taps.listen("weights", [](const std::string&, const at::Tensor& value) { return value; });
  MixerInput listened = s.input(x);
  listened.taps = {&taps, ""};
  const at::Tensor weights = mixer->operator_matrix(s.input(x)), rows = weights.sum(-1);
  const bool zero_future = !s.options.causal || weights.triu(1).abs().max().item<double>() == 0;
  return verdict(test::max_difference(rows, at::ones(rows.sizes())) < 1e-12 && zero_future &&
                 test::max_difference(mixer->forward(listened), mixer->forward(s.input(x))) < 1e-12);
}

/// Floating-point operations counted from what is there: every matrix that meets a token (a tied one twice), and every pair of tokens
/// that the operator shows, in scores and in values.
int64_t counted_flop(const Subject& s, const Mixer& mixer, int64_t batch, int64_t tokens) {
  int64_t matrices = 0, pairs = 0;
  for (const Parameter& parameter : mixer.parameters())
    if (parameter.name[0] == 'w' || parameter.name[0] == 'u')
      matrices += parameter.value.numel() * (parameter.name == "u" && s.options.output == Output::tied ? 2 : 1);
  if (mixer.capabilities().operator_matrix)
    pairs = mixer.operator_matrix(s.input(test::normal({batch, tokens, kWidth}, 1))).count_nonzero().item<int64_t>();
  return 2 * matrices * batch * tokens + 4 * pairs * kDim;
}

std::string formulas(const Subject& s) {
  for (const int64_t tokens : {1, 9}) {
    const MixerPtr mixer = s.make();
    if (mixer->forward_flop(2, tokens, s.options.causal) != counted_flop(s, *mixer, 2, tokens)) return "FAIL";
  }
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const MixerPtr mixer = s.make(dtype);
    if (!mixer->capabilities().decode) continue;
    const auto state = mixer->make_state(2, 33);
    const c10::NoGradGuard no_grad;
    static_cast<void>(mixer->step(test::normal({2, 33, kWidth}, 1, dtype), *state));
    if (state->bytes() != mixer->state_bytes(2, 33, dtype == at::kDouble ? 8 : 4)) return "FAIL";
  }
  return kPass;
}

/// Parameters written to a file and read into another mixer make it the same mixer, bit for bit.
std::string saving(const Subject& s) {
  const TestFolder folder;
  const MixerPtr saved = s.make(at::kFloat), loaded = s.make(at::kFloat);
  {
    const c10::NoGradGuard no_grad;
    for (const Parameter& parameter : loaded->parameters()) parameter.value.add_(1);
  }
  const MixerInput input = s.input(test::normal({2, 9, kWidth}, 1, at::kFloat));
  const at::Tensor wanted = saved->forward(input);
  if (loaded->forward(input).equal(wanted)) return "FAIL";
  AtomicFolder writer(folder.path(), "mixer");
  save_tensors(writer, "mixer.safetensors", saved->parameters());
  writer.commit({});
  load_tensors(SafetensorsFile(folder.path("mixer/mixer.safetensors")), loaded->parameters());
  return verdict(loaded->forward(input).equal(wanted));
}

/// A second forward pass from the same generator seed draws the same dropout: what recomputing activations needs.
std::string recompute(const Subject& s) {
  Subject dropping = s;
  dropping.options.dropout = 0.3;
  const MixerPtr mixer = dropping.make();
  const auto run = [&](uint64_t seed) {
    std::vector<at::Tensor> inputs{test::normal({2, 9, kWidth}, 1).requires_grad_()};
    MixerInput input = s.input(inputs[0]);
    for (const Parameter& parameter : mixer->parameters()) inputs.push_back(parameter.value);
    input.training = true;
    input.generator = make_generator(seed);
    std::vector<at::Tensor> out{mixer->forward(input)};
    for (const at::Tensor& gradient : test::gradients(out[0], test::normal(out[0].sizes(), 3), inputs)) out.push_back(gradient);
    return out;
  };
  const auto first = run(1), again = run(1), other = run(2);
  for (size_t i = 0; i < first.size(); ++i)
    if (!first[i].equal(again[i])) return "FAIL";
  return verdict(!first[0].equal(other[0]));
}

template <class Exception, class Work>
bool throws(const Work& work, const std::string& word) {
  try {
    work();
  } catch (const Exception& error) {
    return std::string(error.what()).find(word) != std::string::npos;
  }
  return false;
}

std::string refusal(const Subject& s) {
  const MixerPtr mixer = s.make();
  const Capabilities& can = mixer->capabilities();
  const auto made = [&](auto change) {
    return [&s, change] {
      Subject wanted = s;
      change(wanted.options);
      static_cast<void>(wanted.make());
    };
  };
  bool held = true;
  if (!can.rotary) held &= throws<UsageError>(made([](MixerOptions& o) { o.rotary = true; }), s.name);
  if (!can.gate) held &= throws<UsageError>(made([](MixerOptions& o) { o.gate = Gate::silu; }), s.name);
  if (!can.tied_output) held &= throws<UsageError>(made([](MixerOptions& o) { o.output = Output::tied; }), s.name);
  const at::Tensor x = test::normal({1, 5, kWidth}, 1);
  for (const bool causal : {true, false})
    if (!(causal ? can.causal : can.bidirectional))
      held &= throws<c10::ValueError>([&] { static_cast<void>(mixer->forward({.x = x, .causal = causal})); }, s.name);
  if (!can.key_mask) {
    MixerInput masked = s.input(x);
    masked.key_mask = at::ones({1, 5}, at::kBool);
    held &= throws<c10::ValueError>([&] { static_cast<void>(mixer->forward(masked)); }, s.name);
  }
  if (!can.mask) {
    MixerInput masked = s.input(x);
    masked.mask = at::ones({5, 5}, at::kBool);
    held &= throws<c10::ValueError>([&] { static_cast<void>(mixer->forward(masked)); }, s.name);
  }
  if (can.decode && !can.truncate) {
    const auto state = mixer->make_state(1, 5);
    static_cast<void>(mixer->step(x, *state));
    held &= throws<c10::ValueError>([&] { state->truncate(4); }, s.name);
  }
  if (!can.decode) held &= throws<c10::ValueError>([&] { static_cast<void>(mixer->make_state(1, 5)); }, s.name);
  if (!can.operator_matrix) held &= throws<c10::ValueError>([&] { static_cast<void>(mixer->operator_matrix(s.input(x))); }, s.name);
  if (!can.any_length) {
    const at::Tensor longer = test::normal({1, kContext + 1, kWidth}, 1);
    held &= throws<c10::ValueError>([&] { static_cast<void>(mixer->forward(s.input(longer))); }, s.name);
  }
  return verdict(held);
}

std::vector<Subject> subjects() {
  std::vector<Subject> out;
  for (const MixerEntry& entry : mixer_catalogue())
    for (const bool causal : {true, false}) {
      MixerOptions options{.width = kWidth, .heads = kHeads, .head_dim = kDim, .context = kContext, .causal = causal};
      out.push_back({entry.name, options});
      at::Generator none;
      const MixerPtr plain = entry.make(options, none);
      const Capabilities can = plain->capabilities();
      options.bias = true;
      if (can.rotary) options.rotary = true;
      if (can.gate) options.gate = Gate::silu;
      if (can.tied_output) options.output = Output::tied;
      out.push_back({entry.name, options});
    }
  return out;
}

std::string title(const Subject& s) {
  std::string out = s.name + (s.options.causal ? " causal" : " bidirectional");
  if (s.options.rotary) out += " rotary";
  if (s.options.gate == Gate::silu) out += " gate";
  if (s.options.output == Output::tied) out += " tied";
  return out + (s.options.bias ? " bias" : "");
}

TEST(Mixers, Conform) {
  const std::vector<std::pair<const char*, std::string (*)(const Subject&)>> items = {{"shape", shape},
                                                                                      {"determinism", determinism},
                                                                                      {"batch", batch},
                                                                                      {"padding", padding},
                                                                                      {"who reads whom", who_reads_whom},
                                                                                      {"gradient", gradient},
                                                                                      {"causality", causality},
                                                                                      {"decode", decode},
                                                                                      {"permutation", permutation},
                                                                                      {"explicit path", explicit_path},
                                                                                      {"formulas", formulas},
                                                                                      {"saving", saving},
                                                                                      {"recompute", recompute},
                                                                                      {"refusal", refusal}};
  for (const Subject& subject : subjects()) {
    std::printf("%s\n", title(subject).c_str());
    for (const auto& [item, check] : items) {
      const std::string result = check(subject);
      std::printf("  %-14s %s\n", item, result.c_str());
      EXPECT_NE(result, "FAIL") << title(subject) << ": " << item;
    }
  }
}

int64_t count(const std::string& name, Output output, Gate gate) {
  at::Generator none;
  return parameter_count(
      make_mixer(name, {.width = 96, .heads = 6, .head_dim = 16, .context = 8, .output = output, .gate = gate}, none)->parameters());
}

TEST(Mixers, HaveTheParametersOfTheSpecification) {
  constexpr int64_t kSquare = 96 * 96;
  EXPECT_EQ(count("mssa", Output::tied, Gate::none), kSquare);
  EXPECT_EQ(count("mssa", Output::untied, Gate::none), 2 * kSquare);
  EXPECT_EQ(count("mssa", Output::untied, Gate::silu), 3 * kSquare);
  EXPECT_EQ(count("mhsa", Output::untied, Gate::none), 4 * kSquare);
  EXPECT_EQ(count("tssa", Output::untied, Gate::none), 2 * kSquare + 6 + 6 * 8);
}

TEST(Mixers, MssaHoldsHalfTheDecodeStateOfMhsa) {
  at::Generator generator = make_generator(1);
  const MixerOptions options{.width = 96, .heads = 6, .head_dim = 16, .rotary = true};
  EXPECT_EQ(2 * make_mixer("mssa", options, generator)->make_state(1, 32)->bytes(),
            make_mixer("mhsa", options, generator)->make_state(1, 32)->bytes());
}

TEST(Mixers, AnUnknownNameListsTheKnownOnes) {
  at::Generator generator = make_generator(1);
  EXPECT_TRUE(throws<UsageError>([&] { static_cast<void>(make_mixer("msa", {}, generator)); }, "mssa, mhsa, tssa"));
}

TEST(Mixers, RefuseSizesThatAreNone) {
  at::Generator none;
  const MixerOptions good{.width = 8, .heads = 2, .head_dim = 4, .context = 8};
  for (const MixerEntry& entry : mixer_catalogue()) {
    const auto refused = [&](const std::string& word, auto change) {
      MixerOptions options = good;
      change(options);
      expect_error(2, word, [&] { static_cast<void>(make_mixer(entry.name, options, none)); });
    };
    for (const int64_t size : {0, -1}) {
      refused("width must be at least 1", [size](MixerOptions& o) { o.width = size; });
      refused("heads must be at least 1", [size](MixerOptions& o) { o.heads = size; });
      refused("head_dim must be at least 1", [size](MixerOptions& o) { o.head_dim = size; });
      refused("layers must be at least 1", [size](MixerOptions& o) { o.layers = size; });
    }
    refused("context", [](MixerOptions& o) { o.context = -1; });
    for (const double rate : {-0.1, 1.0, std::nan("")}) refused("dropout", [rate](MixerOptions& o) { o.dropout = rate; });
    EXPECT_NO_THROW(static_cast<void>(make_mixer(entry.name, good, none)));
  }
  MixerOptions without_context = good;
  without_context.context = 0;
  expect_error(2, "needs a context", [&] { static_cast<void>(make_mixer("tssa", without_context, none)); });
}

}  // namespace
}  // namespace aot
