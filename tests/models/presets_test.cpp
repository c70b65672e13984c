// SPDX-License-Identifier: Apache-2.0
#include "aot/models/presets.h"

#include <map>
#include <string>

#include <ATen/ops/randint.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/kernels/cpu/mssa.h"
#include "aot/models/language.h"
#include "aot/models/summary.h"
#include "aot/ops/mssa_kernel.h"

namespace aot {
namespace {

LanguageOptions preset_options(const std::string& name, int64_t vocab_size) {
  LanguageOptions options;
  Fields fields;
  describe(fields, options);
  apply_preset(fields, name);
  if (options.vocab_size == 0) options.vocab_size = vocab_size;
  return options;
}

ModelSummary summary_of(const std::string& name, int64_t vocab_size = 65) {
  const LanguageModel model = LanguageModel::without_storage(preset_options(name, vocab_size));
  return summarize(model, 1, model.options().context);
}

TEST(Presets, PaperSizesHaveTheCountsOfTheFormula) {
  const std::map<std::string, int64_t> expected = {
      {"gpt2-base", 123587328}, {"aot-mssa-base", 101868544}, {"aot-mssa-medium", 182401280}, {"aot-mhsa-base", 122165120}};
  for (const auto& [name, count] : expected) EXPECT_EQ(summary_of(name).parameters_without_positions, count) << name;
}

TEST(Presets, TinyOnesHaveTheCountsOfTheFormula) {
  const auto formula = [](int64_t width, int64_t layers, int64_t matrices) {
    return 65 * width + layers * (matrices * width * width + width) + width;
  };
  EXPECT_EQ(summary_of("aot-mssa-tiny").parameters_without_positions, formula(256, 6, 2));
  EXPECT_EQ(summary_of("aot-mssa-gated-tiny").parameters_without_positions, formula(192, 7, 3));
  EXPECT_EQ(summary_of("aot-mhsa-tiny").parameters_without_positions, formula(192, 6, 4));
  EXPECT_EQ(summary_of("gpt2-tiny").parameters_without_positions, 65 * 128 + 4 * (12 * 128 * 128 + 2 * 128) + 128);
  for (const Preset& preset : presets()) {
    if (preset.name.find("tiny") == std::string::npos) continue;
    EXPECT_NEAR(static_cast<double>(summary_of(preset.name).parameters), 0.85e6, 0.07e6) << preset.name;
  }
}

TEST(Presets, LanguageModelsStartWithTheirHeadsOnTheFastPath) {
  const c10::NoGradGuard no_grad;
  constexpr int64_t kBatch = 4;
  size_t served = 0;
  for (const Preset& preset : presets()) {
    if (preset_task(preset.name) != "language") continue;
    LanguageOptions options = resolved(preset_options(preset.name, 65));
    if (options.mixer != "mssa") continue;
    ASSERT_TRUE(mssa_kernel_takes(options.head_dim)) << preset.name;
    ++served;
    if (options.width > 512) options.layers = 2;  // their layers start alike
    options.vocab_size = 65;
    options.context = 256;
    const LanguageModel model(options, 7);
    for (const int64_t tokens : {64, 128, 256}) {
      const MssaCounts before = mssa_counts();
      static_cast<void>(model.hidden(at::randint(65, {kBatch, tokens}, make_generator(3), at::kLong)));
      const MssaCounts after = mssa_counts();
      const int64_t heads = after.heads - before.heads;
      ASSERT_EQ(heads, kBatch * options.layers * options.heads) << preset.name;
      EXPECT_LE(100 * (after.fallbacks - before.fallbacks), heads) << preset.name << ", " << tokens << " tokens";
    }
  }
  EXPECT_GE(served, 4u);
}

TEST(Presets, EachHasASummaryAndParses) {
  EXPECT_GE(presets().size(), 8u);
  for (const Preset& preset : presets()) {
    EXPECT_FALSE(preset.summary.empty()) << preset.name;
    EXPECT_FALSE(preset_entries(preset.name).empty()) << preset.name;
  }
}

TEST(Presets, UnknownNameNamesTheNearest) {
  try {
    preset_entries("aot-mssa-tinny");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'aot-mssa-tiny'"), std::string::npos);
  }
}

TEST(Presets, AFlagOrFileBeatsThePresetAndThePresetBeatsTheDefault) {
  LanguageOptions options;
  Fields fields;
  describe(fields, options);
  fields.set_from({{"layers", int64_t{3}, 1}}, Origin::file, "test.toml");
  apply_preset(fields, "gpt2-tiny");
  EXPECT_EQ(options.layers, 3);
  EXPECT_EQ(options.width, 128);
}

TEST(Summary, CountsFlopAsTheModelFlopOfTheStep) {
  // Setting (a): D 384, L 6, T 256, V 1000, untied MSSA: 12 D^2 L + 6 T D L + 6 D V = 16.5 M.
  LanguageOptions options{
      .width = 384, .layers = 6, .heads = 6, .context = 256, .vocab_size = 1000, .position = Position::learned, .rotary = false};
  const LanguageModel model = LanguageModel::without_storage(options);
  const double expected = 12.0 * 384 * 384 * 6 + 6.0 * 256 * 384 * 6 + 6.0 * 384 * 1000;
  EXPECT_NEAR(summarize(model, 8, 256).flop_per_token, expected, 0.003 * expected);
}

TEST(Summary, MssaKeepsHalfTheDecodingStateOfMhsa) {
  LanguageOptions options{.width = 768, .layers = 12, .heads = 12, .context = 1024, .vocab_size = 50304, .rotary = false};
  const auto state = [&](const char* mixer) {
    options.mixer = mixer;
    return summarize(LanguageModel::without_storage(options), 1, 1024, 2).memory.decode_state;
  };
  EXPECT_EQ(state("mhsa"), 37748736);  // GPT-2 Base, bf16, 1024 tokens: 37.7 MB
  EXPECT_EQ(2 * state("mssa"), state("mhsa"));
}

TEST(Summary, GroupsAddUp) {
  const ModelSummary summary = summary_of("gpt2-tiny");
  int64_t total = 0;
  for (const ParameterGroup& group : summary.groups) total += group.parameters;
  EXPECT_EQ(total, summary.parameters);
  EXPECT_EQ(summary.parameters - summary.parameters_without_positions, 64 * 128);
}

}  // namespace
}  // namespace aot
