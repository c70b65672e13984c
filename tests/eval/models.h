// SPDX-License-Identifier: Apache-2.0
// Models and tokens that tests of scores share.
#pragma once

#include <string>
#include <vector>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include "aot/core/random.h"
#include "aot/data/benchmark_files.h"
#include "aot/models/language.h"

namespace aot::test {

/// A model whose probabilities are far from equal.
inline LanguageModel small_model(int64_t context, const std::string& mixer = "mssa", int64_t vocab_size = 256) {
  LanguageModel model(
      {.mixer = mixer, .width = 24, .layers = 2, .heads = 3, .context = context, .vocab_size = vocab_size, .rotary = mixer != "tssa"}, 1);
  const c10::NoGradGuard guard;
  for (const Parameter& parameter : model.parameters())
    if (parameter.value.dim() > 1) parameter.value.detach().mul_(5);
  return model;
}

inline std::vector<int32_t> random_tokens(int64_t count, uint64_t seed = 9) {
  Random random(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(random.below(256)));
  return tokens;
}

/// Log-probabilities (T, V) float64 of one sequence, by one pass.
inline at::Tensor log_probabilities(const LanguageModel& model, const std::vector<int32_t>& ids) {
  const c10::NoGradGuard guard;
  const std::vector<int64_t> inputs(ids.begin(), ids.end());
  return at::log_softmax(model.logits(model.hidden(at::tensor(inputs).unsqueeze(0)))[0].to(at::kDouble), 1);
}

/// Texts on lines 1, 2, ...
inline std::vector<TextItem> text_items(const std::vector<std::string>& texts) {
  std::vector<TextItem> items;
  for (const std::string& text : texts) items.push_back({.text = text, .line = static_cast<int64_t>(items.size()) + 1});
  return items;
}

}  // namespace aot::test
