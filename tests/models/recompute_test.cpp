// SPDX-License-Identifier: Apache-2.0
#include "aot/models/recompute.h"

#include <gtest/gtest.h>

#include <ATen/ops/randint.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>

#include "aot/core/autocast.h"
#include "aot/core/gradients.h"
#include "aot/core/random.h"
#include "aot/models/language.h"
#include "tests/kernels/paths.h"
#include "tests/support/live_bytes.h"

namespace aot {
namespace {

constexpr int64_t kBatch = 3, kTokens = 40, kVocab = 50;

LanguageOptions options_of(const std::string& mixer, int64_t layers, double dropout = 0) {
  return {.mixer = mixer,
          .block = mixer == "mhsa" ? BlockKind::mlp : BlockKind::attention_only,
          .width = 96,
          .layers = layers,
          .heads = 3,
          .context = kTokens,
          .vocab_size = kVocab,
          .dropout = dropout};
}

at::Tensor ids_of(uint64_t seed) {
  return at::randint(kVocab, {kBatch, kTokens}, make_generator(seed), at::kLong);
}

struct Way {
  bool recompute = false, in_place = false;
  at::ScalarType dtype = at::kFloat;
};

at::Tensor loss_of(const LanguageModel& model, const Way& way) {
  const Autocast autocast(at::kCPU, way.dtype);
  return model.loss(ids_of(1), ids_of(2), {.training = true, .dropout_seed = 5, .recompute = way.recompute});
}

/// The gradients of a fresh model, one behind the other.
std::vector<at::Tensor> gradients_of(const LanguageOptions& options, const Way& way) {
  const LanguageModel model(options, 4);
  for (const Parameter& parameter : model.parameters()) {
    parameter.value.requires_grad_(true);
    if (way.in_place) parameter.value.mutable_grad() = at::zeros_like(parameter.value);
  }
  std::optional<GradientsInPlace> in_place;
  if (way.in_place) in_place.emplace();
  const at::Tensor loss = loss_of(model, way);
  in_place.reset();
  loss.backward();
  std::vector<at::Tensor> out;
  for (const Parameter& parameter : model.parameters()) out.push_back(parameter.value.grad());
  return out;
}

TEST(Recompute, GivesTheGradientsOfWhatIsKeptToTheBit) {
  for (const char* mixer : {"mssa", "mhsa", "tssa"})
    for (const double dropout : {0.0, 0.2})
      for (const bool in_place : {false, true})
        for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
          LanguageOptions options = options_of(mixer, 3, dropout);
          if (options.mixer == "tssa") options.rotary = false;
          const auto kept = gradients_of(options, {.in_place = in_place, .dtype = dtype});
          const auto again = gradients_of(options, {.recompute = true, .in_place = in_place, .dtype = dtype});
          for (size_t i = 0; i < kept.size(); ++i)
            EXPECT_TRUE(kept[i].equal(again[i]))
                << mixer << ", dropout " << dropout << ", in place " << in_place << ", " << dtype << ", " << i;
        }
}

/// Bytes that one more layer keeps for backward, per token.
double bytes_per_token_and_layer(const Way& way) {
  double kept[2];
  for (const int64_t layers : {2, 4}) {
    const LanguageModel model(options_of("mssa", layers), 4);
    for (const Parameter& parameter : model.parameters()) parameter.value.requires_grad_(true);
    const test::LiveBytes live;
    const at::Tensor loss = loss_of(model, way);
    kept[layers / 4] = static_cast<double>(live.now());
  }
  return (kept[1] - kept[0]) / (2.0 * kBatch * kTokens);
}

TEST(Recompute, KeepsOneRowOfNumbersPerTokenAndLayer) {
  const LanguageOptions o = options_of("mssa", 2);
  EXPECT_NEAR(bytes_per_token_and_layer({.recompute = true}), static_cast<double>(4 * o.width), 1);
}

// A PyTorch layer with queries, keys and values of their own keeps 6 D numbers: input and output of its norm, the three, the heads' output;
// bench/peer.py, where the three are one, keeps 4 D. Both keep statistics of norm and softmax besides.
TEST(Language, KeepsAtMostHalfOfASeparateLayersBytes) {
  const test::KeepCpuPath keep;
  const LanguageOptions o = options_of("mssa", 2);
  const double numbers = 4 * static_cast<double>(o.width);  // bytes of D of them
  for (const CpuPath path : supported_cpu_paths()) {        // also where LibTorch multiplies
    set_cpu_path(path);
    const double kept = bytes_per_token_and_layer({});
    // The norm's input, the projected tokens, the heads' output; two numbers for each head and for the norm.
    EXPECT_NEAR(kept, 3 * numbers + 4 * static_cast<double>(2 * o.heads + 2), 1) << name_of(path);
    EXPECT_LE(kept, 0.55 * 6 * numbers) << name_of(path);
    EXPECT_LE(kept, 4 * numbers) << name_of(path);
  }
}

TEST(Language, UnderAutocastKeepsLessThanInFloat32) {
  const LanguageOptions o = options_of("mssa", 2);
  // In float32 the norm's input and the statistics; in half the bytes the norm's output, the projected tokens, the heads' output.
  const auto tokens = static_cast<double>(4 * (o.width + 2 * o.heads + 2) + 2 * 3 * o.width);
  const auto weights = static_cast<double>(2 * 2 * o.width * o.width);  // rounded copies of both matrices, whatever the tokens
  EXPECT_NEAR(bytes_per_token_and_layer({.dtype = at::kBFloat16}), tokens + weights / (kBatch * kTokens), 1);
}

}  // namespace
}  // namespace aot
