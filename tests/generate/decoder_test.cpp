// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include <ATen/ops/tensor.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/random.h"
#include "tests/kernels/paths.h"

namespace aot {
namespace {

struct Case {
  std::string name;
  LanguageOptions options;
};

std::vector<Case> cases() {
  const LanguageOptions base{.width = 48, .layers = 2, .heads = 3, .context = 1024, .vocab_size = 203, .tie_embeddings = false};
  std::vector<Case> all;
  const auto add = [&](const char* name, const auto& change) {
    LanguageOptions options = base;
    change(options);
    all.push_back({name, options});
  };
  add("mssa_rotary", [](LanguageOptions&) {});
  add("mssa_learned", [](LanguageOptions& o) { o.rotary = false, o.position = Position::learned, o.tie_embeddings = true; });
  add("mssa_tied_gated", [](LanguageOptions& o) { o.output = Output::tied, o.gate = Gate::silu, o.step_size = StepSize::channel; });
  add("mssa_odd_heads", [](LanguageOptions& o) { o.heads = 5, o.head_dim = 22, o.norm = NormKind::rms, o.step_size = StepSize::scalar; });
  add("mssa_no_norm", [](LanguageOptions& o) { o.norm = NormKind::none, o.rotary = false, o.position = Position::sincos; });
  add("mssa_gpt2_bias", [](LanguageOptions& o) { o.block = BlockKind::gpt2, o.bias = true; });
  add("mhsa_rotary", [](LanguageOptions& o) { o.mixer = "mhsa"; });
  add("mhsa_gpt2", [](LanguageOptions& o) {
    o.mixer = "mhsa", o.block = BlockKind::gpt2, o.bias = true, o.rotary = false, o.position = Position::learned, o.step_init = 0.5;
  });
  add("mhsa_gated", [](LanguageOptions& o) { o.mixer = "mhsa", o.gate = Gate::silu, o.heads = 1; });
  return all;
}

/// Random weights, large enough for logits that vary.
LanguageModel lively(const LanguageOptions& options, double times = 6) {
  LanguageModel model(options, 1);
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters())
    if (parameter.value.dim() > 1) parameter.value.detach().mul_(times);
  return model;
}

std::vector<int32_t> ids_of(const LanguageModel& model, int64_t count, uint64_t seed = 1) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(Random(derive_seed(seed, "ids", static_cast<uint64_t>(i))).uniform() *
                                       static_cast<double>(model.options().vocab_size)));
  return ids;
}

/// Logits (T, V) in float64 of one pass over `ids` by the same weights in float64.
at::Tensor exact(const LanguageOptions& options, double times, const std::vector<int32_t>& ids) {
  const c10::InferenceMode guard;
  LanguageModel model = lively(options, times);
  model.to(at::kCPU, at::kDouble);
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  return model.logits(model.hidden(at::tensor(wide).unsqueeze(0)))[0].contiguous();
}

double worst(std::span<const float> logits, const at::Tensor& wanted) {
  double most = 0;
  const double* values = wanted.const_data_ptr<double>();
  for (size_t i = 0; i < logits.size(); ++i) {
    const double difference = std::abs(logits[i] - values[i]);
    if (!(difference <= most)) most = difference;
  }
  return most;
}

class NativeDecoding : public testing::TestWithParam<Case> {};

TEST_P(NativeDecoding, GivesTheLogitsOfOnePassOnEveryPath) {
  const test::KeepCpuPath keep;
  const LanguageModel model = lively(GetParam().options);
  const std::vector<int32_t> ids = ids_of(model, 83);
  const at::Tensor wanted = exact(GetParam().options, 6, ids);
  const double size = wanted.abs().max().item<double>();
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    Decoder token_by_token(model), from_prompt(model);
    ASSERT_TRUE(token_by_token.native());
    from_prompt.read(std::span(ids).first(37), 37);
    for (size_t t = 0; t < ids.size(); ++t) {
      token_by_token.step({&ids[t], 1});
      ASSERT_LT(worst(token_by_token.logits(), wanted[static_cast<int64_t>(t)]), 2e-5 * size) << name_of(path) << ", token " << t;
      if (t < 36) continue;
      if (t >= 37) from_prompt.step({&ids[t], 1});
      ASSERT_LT(worst(from_prompt.logits(), wanted[static_cast<int64_t>(t)]), 2e-5 * size) << name_of(path) << ", token " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, NativeDecoding, testing::ValuesIn(cases()), [](const auto& made) { return made.param.name; });

}  // namespace
}  // namespace aot
