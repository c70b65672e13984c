// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/random.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"
#include "aot/io/utf8.h"
#include "tests/support/byte_tokenizer.h"

namespace aot {
namespace {

using test::ByteTokenizer;

LanguageOptions small(const std::string& mixer = "mssa") {
  return {.mixer = mixer, .width = 32, .layers = 2, .heads = 4, .context = 24, .vocab_size = 256, .tie_embeddings = false};
}

/// Random weights, large enough for texts that vary.
LanguageModel lively(const LanguageOptions& options, uint64_t seed = 1) {
  LanguageModel model(options, seed);
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters())
    if (parameter.value.dim() > 1) parameter.value.detach().mul_(8);
  return model;
}

/// Logits (V) of what follows `window`, by one pass without a cache.
at::Tensor uncached(const LanguageModel& model, const std::vector<int32_t>& window) {
  const c10::InferenceMode guard;
  std::vector<int64_t> ids(window.begin(), window.end());
  const at::Tensor hidden = model.hidden(at::tensor(ids).unsqueeze(0));
  return model.logits(hidden.select(1, hidden.size(1) - 1))[0].to(at::kDouble).contiguous();
}

/// Calls check(place, logits) along `tokens` after `prompt`, by the documented rule for texts longer than the context.
template <class Check>
void follow(const LanguageModel& model, std::vector<int32_t> window, const std::vector<int32_t>& tokens, const Check& check) {
  const auto context = static_cast<size_t>(model.options().context);
  if (window.size() > context) window.erase(window.begin(), window.end() - context);
  for (size_t i = 0; i < tokens.size(); ++i) {
    check(i, uncached(model, window));
    window.push_back(tokens[i]);
    if (window.size() > context) window.erase(window.begin(), window.end() - std::max<size_t>(1, context / 2));
  }
}

struct Case {
  std::string name;
  LanguageOptions options;
};

class CachedDecoding : public testing::TestWithParam<Case> {};

TEST_P(CachedDecoding, TakesTheTokensOfWholePassesWithoutACache) {
  const LanguageModel model = lively(GetParam().options);
  const ByteTokenizer tokenizer;
  Generator generator(model, tokenizer, "First");
  const Sample sample = generator.sample(0, {.tokens = 300, .sampling = {.greedy = true}});
  ASSERT_EQ(sample.tokens.size(), 300u);
  int flips = 0;
  follow(model, tokenizer.encode("First"), sample.tokens, [&](size_t i, const at::Tensor& logits) {
    const auto* values = logits.data_ptr<double>();
    const auto best = static_cast<int32_t>(std::max_element(values, values + logits.numel()) - values);
    if (sample.tokens[i] == best) return;
    ++flips;  // rounding may decide between equals only
    ASSERT_LT(values[best] - values[sample.tokens[i]], 1e-4) << "place " << i;
  });
  EXPECT_LE(flips, 3);
  EXPECT_GT(std::set<int32_t>(sample.tokens.begin(), sample.tokens.end()).size(), 3u);  // not one token over and over
}

std::vector<Case> cases() {
  std::vector<Case> all = {{"mssa", small()},       {"mssa_gated_tied_rotary", small()}, {"mhsa", small("mhsa")}, {"gpt2", small("mhsa")},
                           {"tssa", small("tssa")}, {"context_of_one", small()}};
  all[0].options.rotary = false;
  all[0].options.position = Position::learned;
  all[1].options.gate = Gate::silu;
  all[1].options.output = Output::tied;
  all[1].options.step_size = StepSize::scalar;
  all[3].options.block = BlockKind::mlp;
  all[3].options.position = Position::learned;
  all[3].options.rotary = false;
  all[3].options.bias = true;
  all[4].options.rotary = false;
  all[4].options.position = Position::sincos;
  all[5].options.context = 1;
  return all;
}

INSTANTIATE_TEST_SUITE_P(Models, CachedDecoding, testing::ValuesIn(cases()), [](const auto& made) { return made.param.name; });

class Seeds : public testing::TestWithParam<std::string> {};

TEST_P(Seeds, GiveOneTextWhateverCameBefore) {
  LanguageOptions model_options = small(GetParam());
  model_options.rotary = GetParam() != "tssa";
  const LanguageModel model = lively(model_options);
  const ByteTokenizer tokenizer;
  for (const int64_t tokens : {10, 60}) {  // within the context and beyond it
    const GenerateOptions options{.tokens = tokens};
    Generator many(model, tokenizer, "a prompt");
    std::vector<Sample> samples;
    for (uint64_t i = 0; i < 4; ++i) samples.push_back(many.sample(10 + i, options));
    for (uint64_t i = 4; i-- > 0;) {
      const Sample alone = Generator(model, tokenizer, "a prompt").sample(10 + i, options);
      EXPECT_EQ(alone.tokens, samples[i].tokens);
      EXPECT_EQ(alone.text, samples[i].text);
      EXPECT_EQ(alone.seed, 10 + i);
      EXPECT_EQ(many.sample(10 + i, options).tokens, samples[i].tokens);
    }
    EXPECT_NE(samples[0].tokens, samples[1].tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Mixers, Seeds, testing::Values("mssa", "mhsa", "tssa"));

void expect_same(const Sample& a, const Sample& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.finish, b.finish);
  EXPECT_EQ(a.seed, b.seed);
  ASSERT_EQ(a.logprobs.size(), b.logprobs.size());
  for (size_t i = 0; i < a.logprobs.size(); ++i) EXPECT_EQ(a.logprobs[i].taken.logprob, b.logprobs[i].taken.logprob) << "place " << i;
}

TEST_P(CachedDecoding, SamplesDrawnTogetherAreThoseDrawnAloneToTheBit) {
  LanguageOptions model_options = GetParam().options;
  model_options.vocab_size = 257;
  const LanguageModel model = lively(model_options);
  const ByteTokenizer tokenizer(true);
  constexpr int64_t kSamples = 6;
  for (const NumberFormat format : {NumberFormat::float32, NumberFormat::int8}) {
    if (model_options.mixer == "tssa" && format != NumberFormat::float32) continue;
    Generator together(model, tokenizer, "a prompt", format, kSamples), alone(model, tokenizer, "a prompt", format);
    ASSERT_EQ(together.at_once(), model_options.mixer == "tssa" ? 1 : kSamples);
    // Past the context too, and with texts that end at different places: by a stop string, by the end of the document, or not.
    for (const GenerateOptions& options :
         {GenerateOptions{.tokens = 70, .logprobs = 1, .sampling = {.temperature = 3, .repetition_penalty = 1.1}},
          GenerateOptions{.tokens = 60, .stop = {"e", "7"}, .logprobs = 1, .sampling = {.temperature = 20}}, GenerateOptions{.tokens = 1},
          GenerateOptions{.tokens = 0}}) {
      for (const uint64_t seed : {10, 16}) {  // the second time the prompt is in the state no longer
        int64_t drawn = 0;
        const auto samples = together.samples(seed, together.at_once(), options, [&](int64_t tokens) { drawn = tokens; });
        ASSERT_EQ(static_cast<int64_t>(samples.size()), together.at_once());
        for (size_t i = 0; i < samples.size(); ++i) {
          expect_same(samples[i], alone.sample(seed + i, options));
          drawn -= static_cast<int64_t>(samples[i].tokens.size());
        }
        EXPECT_EQ(drawn, 0);
      }
      expect_same(together.sample(11, options), alone.sample(11, options));  // one after several
    }
  }
}

TEST(Generate, DecodesAsManySamplesTogetherAsAreAskedForOrFit) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  EXPECT_EQ(Generator(model, tokenizer, "x").at_once(), 1);
  EXPECT_EQ(Generator(model, tokenizer, "x", NumberFormat::float32, 1000).at_once(), 32);
  LanguageOptions options = small();
  options.context = 1 << 21;  // 2 layers x 32 numbers x 4 bytes a token: half a gigabyte a sequence
  const LanguageModel large(options, 1);
  EXPECT_EQ(Generator(large, tokenizer, "x", NumberFormat::float32, 1000).at_once(), 2);
  EXPECT_EQ(Generator(large, tokenizer, "x", NumberFormat::bfloat16, 3).at_once(), 3);
  Generator generator(model, tokenizer, "x");
  EXPECT_THROW((void)generator.samples(1, 2, {}), c10::ValueError);
}

TEST(Generate, ALongerTextBeginsWithTheShorterOne) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  Generator generator(model, tokenizer, "x");
  const Sample longer = generator.sample(3, {.tokens = 70}), shorter = generator.sample(3, {.tokens = 33});
  EXPECT_TRUE(std::equal(shorter.tokens.begin(), shorter.tokens.end(), longer.tokens.begin()));
}

TEST(Generate, PiecesJoinToTheTextAndAreAlwaysValid) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  Generator generator(model, tokenizer, "");
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::string joined;
    const Sample sample = generator.sample(seed, {.tokens = 200, .sampling = {.temperature = 3}}, [&](std::string_view piece) {
      EXPECT_EQ(find_invalid_utf8(piece), std::string_view::npos);
      joined += piece;
    });
    EXPECT_EQ(joined, sample.text);
    EXPECT_EQ(sample.text, replace_invalid_utf8(tokenizer.decode(sample.tokens)));
    EXPECT_EQ(sample.finish, Finish::length);
  }
}

TEST(Generate, StopsBeforeAStopStringThatSpansTokens) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  Generator generator(model, tokenizer, "go");
  const Sample free = generator.sample(5, {.tokens = 50});
  const std::string bytes = tokenizer.decode(free.tokens), stop = bytes.substr(20, 4);
  const size_t found = bytes.find(stop);
  std::string shown;
  const Sample stopped =
      generator.sample(5, {.tokens = 50, .stop = {"never to be found", stop}}, [&](std::string_view piece) { shown += piece; });
  EXPECT_EQ(stopped.finish, Finish::stop);
  EXPECT_EQ(stopped.text, replace_invalid_utf8(bytes.substr(0, found)));
  EXPECT_EQ(shown, stopped.text);
  EXPECT_EQ(stopped.tokens.size(), found + 4);
  const Sample at_once = generator.sample(5, {.tokens = 50, .stop = {bytes.substr(0, 1)}});
  EXPECT_EQ(at_once.text, "");
  EXPECT_EQ(at_once.tokens.size(), 1u);
}

TEST(Generate, EndsWhereTheModelEndsTheDocument) {
  LanguageOptions options = small();
  options.vocab_size = 257;
  const LanguageModel model = lively(options);
  const ByteTokenizer tokenizer(true);
  Generator generator(model, tokenizer, "");
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Sample sample = generator.sample(seed, {.tokens = 2000, .sampling = {.temperature = 100}});
    if (sample.finish != Finish::end) continue;
    EXPECT_EQ(sample.tokens.back(), 256);
    EXPECT_EQ(std::count(sample.tokens.begin(), sample.tokens.end(), 256), 1);
    return;
  }
  FAIL() << "nearly uniform draws never gave the end of text";
}

TEST(Generate, PaddingOfTheVocabularyIsNeverDrawn) {
  LanguageOptions options = small();
  options.vocab_size = 512;
  const LanguageModel model = lively(options);
  const ByteTokenizer tokenizer(false, 100);
  Generator generator(model, tokenizer, "");
  for (const int32_t id : generator.sample(1, {.tokens = 500, .sampling = {.temperature = 100}}).tokens) EXPECT_LT(id, 100);
  for (const int32_t id : generator.sample(1, {.tokens = 50, .sampling = {.greedy = true}}).tokens) EXPECT_LT(id, 100);
}

TEST(Generate, APromptLongerThanTheContextIsItsLastTokens) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  const std::string prompt = "0123456789 and so on for more tokens than the context holds";
  Generator whole(model, tokenizer, prompt), end(model, tokenizer, prompt.substr(prompt.size() - 24));
  EXPECT_EQ(whole.prompt_tokens(), static_cast<int64_t>(prompt.size()));
  EXPECT_EQ(whole.left_out(), static_cast<int64_t>(prompt.size()) - 24);
  EXPECT_EQ(end.left_out(), 0);
  EXPECT_EQ(whole.sample(2, {.tokens = 40}).tokens, end.sample(2, {.tokens = 40}).tokens);
}

TEST(Generate, AnEmptyPromptStartsFromEndOfTextElseNewline) {
  LanguageOptions options = small();
  options.vocab_size = 257;
  const LanguageModel model = lively(options);
  const ByteTokenizer plain, with_end(true);
  Generator empty(model, plain, ""), newline(model, plain, "\n"), from_end(model, with_end, "");
  EXPECT_EQ(empty.prompt_tokens(), 0);
  EXPECT_EQ(empty.left_out(), 0);
  EXPECT_EQ(empty.sample(1, {.tokens = 30}).tokens, newline.sample(1, {.tokens = 30}).tokens);
  EXPECT_NE(from_end.sample(1, {.tokens = 30}).tokens, newline.sample(1, {.tokens = 30}).tokens);
}

TEST(Generate, NoTokensIsAnEmptyText) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  const Sample sample = Generator(model, tokenizer, "x").sample(1, {.tokens = 0});
  EXPECT_EQ(sample.text, "");
  EXPECT_EQ(sample.finish, Finish::length);
}

TEST(Generate, RepetitionPenaltyCountsThePrompt) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  const Sample free = Generator(model, tokenizer, "a").sample(1, {.tokens = 1, .sampling = {.greedy = true}});
  const std::string prompt = tokenizer.decode(free.tokens);
  // The greedy continuations of a heavily penalised model do not come back to any token before all are used up.
  Sample penalised =
      Generator(model, tokenizer, prompt + "a").sample(1, {.tokens = 100, .sampling = {.repetition_penalty = 100, .greedy = true}});
  EXPECT_EQ(std::count(penalised.tokens.begin(), penalised.tokens.end(), static_cast<int32_t>('a')), 0);
  std::sort(penalised.tokens.begin(), penalised.tokens.end());
  EXPECT_EQ(std::unique(penalised.tokens.begin(), penalised.tokens.end()), penalised.tokens.end());
}

TEST(Generate, LogProbabilitiesAreThoseOfWholePasses) {
  const LanguageModel model = lively(small());
  const ByteTokenizer tokenizer;
  Generator generator(model, tokenizer, "First");
  const Sample sample = generator.sample(4, {.tokens = 60, .logprobs = 3, .sampling = {.temperature = 0.7, .top_k = 5}});
  ASSERT_EQ(sample.logprobs.size(), 60u);
  follow(model, tokenizer.encode("First"), sample.tokens, [&](size_t i, const at::Tensor& logits) {
    const at::Tensor wanted = at::log_softmax(logits, 0);
    const PlaceLogprobs& place = sample.logprobs[i];
    EXPECT_EQ(place.taken.token, sample.tokens[i]);
    EXPECT_NEAR(place.taken.logprob, wanted[place.taken.token].item<double>(), 1e-3);
    ASSERT_EQ(place.best.size(), 3u);
    EXPECT_NEAR(place.best[0].logprob, wanted.max().item<double>(), 1e-3);
    EXPECT_GE(place.best[0].logprob, place.best[1].logprob);
    EXPECT_GE(place.best[1].logprob, place.best[2].logprob);
  });
}

TEST(Generate, ADamagedModelIsAnError) {
  const LanguageModel model = lively(small());
  const c10::NoGradGuard guard;
  model.parameters().back().value.detach().fill_(NAN);
  const ByteTokenizer tokenizer;
  Generator generator(model, tokenizer, "x");
  try {
    (void)generator.sample(1, {.tokens = 5});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ExitCode::failed);
    EXPECT_NE(std::string(error.what()).find("non-finite"), std::string::npos);
  }
}

TEST(Generate, ATokenizerBeyondTheModelIsRefused) {
  LanguageOptions options = small();
  options.vocab_size = 100;
  const LanguageModel model = lively(options);
  const ByteTokenizer tokenizer;
  EXPECT_THROW(Generator(model, tokenizer, "\xff"), Error);
}

}  // namespace
}  // namespace aot
