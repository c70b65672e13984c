// SPDX-License-Identifier: Apache-2.0
// Texts that begin alike, compared by their probability.
#pragma once

#include <cstdint>
#include <vector>

#include "aot/models/language.h"

namespace aot {

struct CandidateScores {
  std::vector<double> scores;  // sum of log p over a candidate's tokens from the first on which not all share, in nats
  int64_t left_out = 0;        // tokens at the start that passed the context
};

/// The sum over tokens that all share is the same for all, so it is left out; they are read once, then all candidates go on from one state
/// in one batch. When the longest has more tokens than the context, all lose as many at their start as bring it there. The very first token
/// has nothing before it and is not scored.   candidates: one or more, each of one or more tokens.
CandidateScores candidate_scores(const LanguageModel& model, const std::vector<std::vector<int32_t>>& candidates);

/// The index of the largest score, the first of equal ones.
size_t best_candidate(const std::vector<double>& scores);

}  // namespace aot
