// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include <ATen/ops/tensor.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/generate/sampling.h"
#include "aot/io/error.h"
#include "tests/kernels/paths.h"

namespace {
std::atomic<int64_t> allocations{0};
}  // namespace

// Counts what this program and the libraries under it allocate, tensors among it.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace aot {
namespace {

struct Case {
  std::string name;
  LanguageOptions options;
};

void PrintTo(const Case& made, std::ostream* out) {
  *out << made.name;
}

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
  add("mssa_gpt2_bias", [](LanguageOptions& o) { o.block = BlockKind::mlp, o.bias = true; });
  add("mhsa_rotary", [](LanguageOptions& o) { o.mixer = "mhsa"; });
  add("mhsa_gpt2", [](LanguageOptions& o) {
    o.mixer = "mhsa", o.block = BlockKind::mlp, o.bias = true, o.rotary = false, o.position = Position::learned, o.step_init = 0.5;
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
    Decoder token_by_token(model, {.two_caches = path == CpuPath::generic}), from_prompt(model);
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

TEST_P(NativeDecoding, TakesTheThousandTokensOfThePlainPath) {
  const LanguageModel model = lively(GetParam().options);
  Decoder native(model), plain(model, {.plain = true});
  ASSERT_FALSE(plain.native());
  std::vector<int32_t> prompt = ids_of(model, 24);
  native.read(prompt, 24);
  plain.read(prompt, 24);
  int flips = 0;
  for (int i = 0; i < 1000; ++i) {
    const int32_t token = choose_token(native.logits(), {}, {.greedy = true}, 0),
                  other = choose_token(plain.logits(), {}, {.greedy = true}, 0);
    if (token != other) {
      ++flips;  // rounding may decide between equals only
      ASSERT_LT(std::abs(native.logits()[token] - native.logits()[other]), 1e-4) << "place " << i;
    }
    native.step({&token, 1});
    plain.step({&token, 1});
  }
  EXPECT_LE(flips, 3);
}

TEST_P(NativeDecoding, GivesEachSequenceOfABatchTheBitsItHasAlone) {
  const LanguageModel model = lively(GetParam().options);
  constexpr int64_t kBatch = 32, kSteps = 20;
  Decoder together(model, {.batch = kBatch});
  std::vector<std::vector<float>> rows;
  for (int64_t i = 0; i < kSteps; ++i) together.step(ids_of(model, kBatch, static_cast<uint64_t>(i)));
  for (const int64_t row : {0, 1, 17, 31}) {
    Decoder alone(model);
    for (int64_t i = 0; i < kSteps; ++i) alone.step({&ids_of(model, kBatch, static_cast<uint64_t>(i))[static_cast<size_t>(row)], 1});
    const auto a = alone.logits(), b = together.logits(row);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << "sequence " << row;
  }
}

TEST_P(NativeDecoding, ReadsThePromptsOfABatchAsEachAlone) {
  const LanguageModel model = lively(GetParam().options);
  constexpr int64_t kBatch = 3, kTokens = 37;
  const std::vector<int32_t> prompts = ids_of(model, kBatch * kTokens), next = ids_of(model, kBatch, 2);
  Decoder together(model, {.batch = kBatch});
  together.read(prompts, kTokens);
  together.step(next);
  for (int64_t row = 0; row < kBatch; ++row) {
    Decoder alone(model);
    alone.read(std::span(prompts).subspan(static_cast<size_t>(row * kTokens), kTokens), kTokens);
    alone.step({&next[static_cast<size_t>(row)], 1});
    const auto a = alone.logits(), b = together.logits(row);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << "sequence " << row;
  }
}

TEST_P(NativeDecoding, CopiesAndDropsSequences) {
  const LanguageModel model = lively(GetParam().options);
  for (const bool plain : {false, true})
    for (const NumberFormat format : {NumberFormat::float32, NumberFormat::int8}) {
      if (plain && format != NumberFormat::float32) continue;
      const DecoderOptions options{.batch = 4, .max_tokens = 64, .format = format, .plain = plain};
      Decoder decoder(model, options), straight(model, options);
      const auto reorder = [&](Decoder& to, const std::vector<int64_t>& rows) {
        to.reorder(rows);
        EXPECT_EQ(to.sequences(), static_cast<int64_t>(rows.size()));
      };
      reorder(decoder, {0});
      const std::vector<int32_t> prompt = ids_of(model, 20);
      decoder.read(prompt, 20);
      reorder(decoder, {0, 0, 0, 0});
      decoder.step(std::vector<int32_t>{1, 2, 3, 4});
      reorder(decoder, {3, 1});
      decoder.step(std::vector<int32_t>{5, 6});
      EXPECT_EQ(decoder.tokens(), 22);
      reorder(straight, {0, 0});
      std::vector<int32_t> twice = prompt;
      twice.insert(twice.end(), prompt.begin(), prompt.end());
      straight.read(twice, 20);
      straight.step(std::vector<int32_t>{4, 2});
      straight.step(std::vector<int32_t>{5, 6});
      for (const int64_t row : {0, 1}) {
        const auto a = decoder.logits(row), b = straight.logits(row);
        for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], plain ? 1e-4 * std::abs(a[i]) + 1e-4 : 0) << "sequence " << row;
      }
      EXPECT_THROW(decoder.reorder(std::vector<int64_t>{2}), c10::ValueError);
      EXPECT_THROW(decoder.reorder(std::vector<int64_t>(5, 0)), c10::ValueError);
      EXPECT_THROW(decoder.reorder(std::vector<int64_t>{}), c10::ValueError);
    }
}

TEST_P(NativeDecoding, CanBeCutBackAndReordered) {
  const LanguageModel model = lively(GetParam().options);
  for (const bool plain : {false, true}) {
    const DecoderOptions options{.batch = 2, .max_tokens = 64, .plain = plain};
    const auto two = [&](int32_t a, int32_t b) { return std::vector<int32_t>{a, b}; };
    Decoder changed(model, options), straight(model, options);
    for (int32_t i = 0; i < 20; ++i) changed.step(two(i, 100 + i));
    changed.truncate(17);
    changed.reorder(std::vector<int64_t>{1, 1});
    EXPECT_EQ(changed.tokens(), 17);
    for (int32_t i = 0; i < 17; ++i) straight.step(two(100 + i, 100 + i));
    for (int32_t i = 0; i < 3; ++i) {
      changed.step(two(5 + i, 9));
      straight.step(two(5 + i, 9));
    }
    for (const int64_t row : {0, 1}) {
      const auto a = changed.logits(row), b = straight.logits(row);
      for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], plain ? 1e-4 * std::abs(a[i]) + 1e-4 : 0) << "sequence " << row;
    }
  }
}

TEST_P(NativeDecoding, HalfAndByteNumbersStayNear) {
  const LanguageModel model = lively(GetParam().options, 2);
  const std::vector<int32_t> ids = ids_of(model, 60);
  const at::Tensor wanted = exact(GetParam().options, 2, ids);
  const double size = wanted.std().item<double>();
  for (const auto& [format, allowed] : {std::pair{NumberFormat::bfloat16, 0.05}, {NumberFormat::int8, 0.1}}) {
    Decoder decoder(model, {.format = format});
    double most = 0;
    for (size_t t = 0; t < ids.size(); ++t) {
      decoder.step({&ids[t], 1});
      most = std::max(most, worst(decoder.logits(), wanted[static_cast<int64_t>(t)]) / size);
    }
    EXPECT_LT(most, allowed) << number_format_names()[static_cast<size_t>(format)];
    EXPECT_GT(most, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, NativeDecoding, testing::ValuesIn(cases()), [](const auto& made) { return made.param.name; });

TEST(Decoder, OtherMixersKeepThePlainPathAndItsNumbers) {
  const LanguageModel model = lively({.mixer = "tssa", .width = 32, .layers = 2, .heads = 4, .vocab_size = 50, .rotary = false});
  Decoder decoder(model);
  EXPECT_FALSE(decoder.native());
  EXPECT_FALSE(decoder.can_truncate());
  decoder.read(ids_of(model, 9), 9);
  EXPECT_EQ(decoder.tokens(), 9);
  decoder.truncate(0);
  EXPECT_EQ(decoder.tokens(), 0);
  EXPECT_THROW(Decoder(model, {.format = NumberFormat::int8}), UsageError);
}

const LanguageOptions kSmall{.width = 64, .layers = 3, .heads = 1, .context = 6000, .vocab_size = 100};

TEST(Decoder, LongContextsOfFewHeadsAreReadInParts) {
  const LanguageModel model = lively(kSmall);
  const std::vector<int32_t> ids = ids_of(model, 5003);
  const at::Tensor wanted = exact(kSmall, 6, ids);
  Decoder decoder(model);
  decoder.read(std::span(ids).first(5000), 5000);
  for (size_t t = 5000; t < ids.size(); ++t) decoder.step({&ids[t], 1});
  EXPECT_LT(worst(decoder.logits(), wanted[5002]), 2e-5 * wanted.abs().max().item<double>());
}

TEST(Decoder, ALongContextHasTheSameBitsInAnyBatch) {
  LanguageOptions options = kSmall;
  options.width = 32;
  options.heads = 2;
  options.layers = 1;
  options.context = 2100;
  const LanguageModel model = lively(options);
  const std::vector<int32_t> ids = ids_of(model, 2080);
  constexpr int64_t kBatch = 20;  // with two heads each more heads than are enough for all threads
  Decoder alone(model), together(model, {.batch = kBatch});
  together.reorder(std::vector<int64_t>{0});
  for (Decoder* decoder : {&alone, &together}) decoder->read(ids, 2080);
  together.reorder(std::vector<int64_t>(kBatch, 0));
  for (int32_t i = 0; i < 3; ++i) {
    alone.step({&i, 1});
    together.step(std::vector<int32_t>(kBatch, i));
  }
  const auto a = alone.logits(), b = together.logits(kBatch - 1);
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
}

TEST(Decoder, BitsDoNotDependOnTheNumberOfThreads) {
  LanguageOptions options = kSmall;
  options.width = 512;  // enough work for two threads
  options.head_dim = 64;
  const LanguageModel model = lively(options);
  const int threads = at::get_num_threads();
  std::vector<std::vector<float>> logits;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    Decoder decoder(model);
    for (const int32_t id : ids_of(model, 2100)) decoder.step({&id, 1});
    logits.emplace_back(decoder.logits().begin(), decoder.logits().end());
  }
  at::set_num_threads(threads);
  EXPECT_EQ(logits[0], logits[1]);
  EXPECT_EQ(logits[0], logits[2]);
}

TEST(Decoder, AStepAllocatesNothing) {
  for (const char* mixer : {"mssa", "mhsa"}) {
    LanguageOptions options = kSmall;
    options.mixer = mixer;
    options.width = 512;
    options.heads = 8;
    options.block = BlockKind::mlp;
    const LanguageModel model = lively(options);
    Decoder decoder(model);
    const std::vector<int32_t> ids = ids_of(model, 50);
    decoder.read(ids, 50);
    decoder.step({ids.data(), 1});  // the thread pool starts
    const int64_t before = allocations;
    for (const int32_t id : ids) decoder.step({&id, 1});
    EXPECT_EQ(allocations - before, 0) << mixer;
  }
}

TEST(Decoder, OneCacheIsHalfOfTwo) {
  LanguageOptions options = kSmall;
  options.heads = 4;
  options.context = 512;
  const auto state_of = [&](const char* mixer, NumberFormat format) {
    options.mixer = mixer;
    return Decoder(LanguageModel(options, 1), {.batch = 3, .format = format}).bytes().state;
  };
  EXPECT_EQ(state_of("mssa", NumberFormat::float32), 3 * 3 * 512 * 64 * 4);
  EXPECT_EQ(2 * state_of("mssa", NumberFormat::float32), state_of("mhsa", NumberFormat::float32));
  EXPECT_EQ(2 * state_of("mssa", NumberFormat::bfloat16), state_of("mssa", NumberFormat::float32));
  EXPECT_EQ(state_of("mssa", NumberFormat::int8), 3 * 3 * 512 * (64 + 4 * 4));
}

TEST(Decoder, SixteenThousandTokensFitIntoBoundedMemory) {
  LanguageOptions options = kSmall;
  options.width = 32;
  options.heads = 2;
  options.context = 16384;
  const LanguageModel model = lively(options);
  Decoder decoder(model);
  const int64_t before = peak_resident_bytes();
  const std::vector<int32_t> ids = ids_of(model, 16384);
  decoder.read(std::span(ids).first(16000), 16000);
  for (size_t t = 16000; t < ids.size(); ++t) decoder.step({&ids[t], 1});
  // One square of scores alone would be 1 GB; some (T, D) tensors of 2 MB each are what it takes.
  EXPECT_LT(peak_resident_bytes() - before, 128 << 20);
  EXPECT_THROW(decoder.step({ids.data(), 1}), c10::ValueError);
}

TEST(Decoder, WhatIsNotFiniteIsSeenInTheLogits) {
  for (const NumberFormat format : {NumberFormat::float32, NumberFormat::bfloat16, NumberFormat::int8}) {
    const LanguageModel model = lively(kSmall);
    {
      const c10::NoGradGuard guard;
      model.blocks().back().mixer().parameters().front().value.detach()[3][5] = NAN;
    }
    Decoder decoder(model, {.max_tokens = 32, .format = format});
    decoder.step(ids_of(model, 1));
    EXPECT_THROW((void)choose_token(decoder.logits(), {}, {.greedy = true}, 0), Error);
  }
}

TEST(Decoder, RefusesWhatItWasNotMadeFor) {
  const LanguageModel model = lively(kSmall);
  for (const bool plain : {false, true}) {
    Decoder decoder(model, {.max_tokens = 4, .plain = plain});
    EXPECT_THROW(decoder.step(std::vector<int32_t>{100}), c10::ValueError);
    EXPECT_THROW(decoder.step(std::vector<int32_t>{-1}), c10::ValueError);
    EXPECT_THROW(decoder.step(std::vector<int32_t>{1, 2}), c10::ValueError);
    EXPECT_THROW(decoder.read(std::vector<int32_t>(5, 1), 5), c10::ValueError);
    EXPECT_EQ(decoder.tokens(), 0);
    decoder.read(std::vector<int32_t>(4, 1), 4);
    EXPECT_THROW(decoder.truncate(5), c10::ValueError);
    EXPECT_THROW(decoder.reorder(std::vector<int64_t>{1}), c10::Error);
  }
}

}  // namespace
}  // namespace aot
