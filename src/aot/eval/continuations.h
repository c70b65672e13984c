// SPDX-License-Identifier: Apache-2.0
// What a model says about the ends of texts, and how it goes on with texts; many texts at once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/models/language.h"

namespace aot {

/// A text of which the last `targets` tokens are asked for.   1 <= targets < ids.size() <= context + 1
struct TargetText {
  std::vector<int32_t> ids;
  int64_t targets = 1;
};

/// Of one text, token by token of its targets.
struct TargetScore {
  std::vector<double> nats;   // -log p, in float64
  std::vector<int32_t> best;  // the most probable id there, the first of equal ones
};

struct TargetOptions {
  int64_t known = 0;       // only ids below this are ever `best`: those that the tokenizer knows
  at::Tensor never_first;  // (V,) bool: ids that are not `best` of a text's first target; may be undefined
  const char* what = "";   // names the work on a progress line; empty: none
};

/// One pass over each text, texts of similar lengths together; logits are made of the targets' places alone. Nothing when a signal asked
/// for a stop. Throws Error `non-finite`.
std::optional<std::vector<TargetScore>> score_targets(const LanguageModel& model, const std::vector<TargetText>& texts,
                                                      const TargetOptions& options);

/// The `tokens` most probable ids, one after the other, that follow each prompt, by cached decoding; prompts of equal length together. Of
/// equal ids the first is taken; only ids below `known`.   1 <= prompt.size() <= context + 1 - tokens
/// Nothing when a signal asked for a stop. Throws Error `non-finite`.
std::optional<std::vector<std::vector<int32_t>>> greedy_continuations(const LanguageModel& model,
                                                                      const std::vector<std::vector<int32_t>>& prompts, int64_t tokens,
                                                                      int64_t known, const char* what = "");

}  // namespace aot
