// SPDX-License-Identifier: Apache-2.0
// From one row of logits to one token: a pure function of its arguments (docs/generate.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aot/core/options.h"

namespace aot {

/// How the next token is drawn. The steps are applied in this order (Hugging Face's): repetition penalty, temperature, top-k, top-p, min-p.
struct SamplingOptions {
  double temperature = 1;         // 0: greedy
  int64_t top_k = 0;              // 0: all
  double top_p = 1;               // 1: all
  double min_p = 0;               // 0: all
  double repetition_penalty = 1;  // 1: none   [Keskar et al. 2019, CTRL, section 4.1]
  bool greedy = false;            // the same as temperature 0

  [[nodiscard]] bool takes_best() const { return greedy || temperature == 0; }
};

void describe(Fields& fields, SamplingOptions& options);

/// The next token. `u` in [0, 1) decides between the tokens that are left, by the inverse of their distribution function in order of ids.
///   logits: one number per token; -inf means never.  seen: one byte per token, 1 for those the repetition penalty lowers; may be empty.
///   Equal logits are ranked by id, the lowest first, so greedy takes the lowest of the best.
///   Throws Error `non-finite: ...` when a logit is NaN or +inf, or all are -inf. REQUIRES: logits not empty.
int32_t choose_token(std::span<const float> logits, std::span<const uint8_t> seen, const SamplingOptions& options, double u);

struct TokenLogprob {
  int32_t token = 0;
  double logprob = 0;  // natural logarithm
};

/// The model's own log-probability of `token`: log-softmax of the logits, before penalty, temperature and filters.
double log_probability(std::span<const float> logits, int32_t token);
/// The `count` most probable tokens (all when there are fewer), best first, equal ones by id.
std::vector<TokenLogprob> best_log_probabilities(std::span<const float> logits, int64_t count);

}  // namespace aot
