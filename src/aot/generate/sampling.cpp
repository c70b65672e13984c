// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "aot/core/non_finite.h"
#include "aot/io/error.h"
#include "aot/kernels/cpu/decode.h"

namespace aot {
namespace {

struct Candidate {
  int32_t id;
  double score;  // the penalised logit, later its probability over that of the best token
};

bool better(const Candidate& a, const Candidate& b) {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
}
bool worse(const Candidate& a, const Candidate& b) {
  return better(b, a);
}

double add_score(double sum, const Candidate& candidate) {
  return sum + candidate.score;
}

double penalised(float logit, double penalty) {
  return logit > 0 ? logit / penalty : logit * penalty;
}

/// Largest logit. NaN is found here, since every path begins with it.
double checked_maximum(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < std::numeric_limits<float>::infinity()))
      throw NonFiniteError(str("logit of token ", i, " is ", std::isnan(logits[i]) ? "NaN" : "+inf"));
    best = std::max(best, logits[i]);
  }
  if (std::isinf(best)) throw NonFiniteError("every logit is -inf");
  return best;
}

double log_normaliser(std::span<const float> logits) {
  const double best = checked_maximum(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - best);
  return best + std::log(sum);
}

void keep_top_k(std::vector<Candidate>& candidates, int64_t k) {
  if (k <= 0 || k >= static_cast<int64_t>(candidates.size())) return;
  std::nth_element(candidates.begin(), candidates.begin() + (k - 1), candidates.end(), better);
  candidates.resize(static_cast<size_t>(k));
}

/// Keeps the smallest number of best candidates whose weights reach the share `p`, at least one. A heap, since few are usually enough.
void keep_top_p(std::vector<Candidate>& candidates, double p) {
  if (p >= 1) return;
  const double wanted = p * std::accumulate(candidates.begin(), candidates.end(), 0.0, add_score);
  std::make_heap(candidates.begin(), candidates.end(), worse);
  double reached = 0;
  auto rest = candidates.end();
  do {
    std::pop_heap(candidates.begin(), rest, worse);
    reached += (--rest)->score;
  } while (reached < wanted && rest != candidates.begin());
  candidates.erase(candidates.begin(), rest);
}

}  // namespace

void describe(Fields& fields, SamplingOptions& options) {
  fields.heading("Sampling, in the order it is applied");
  fields
      .add("repetition-penalty", options.repetition_penalty, "divide positive and multiply negative logits of tokens seen before; 1: none")
      .min(0.01)
      .max(100);
  fields.add("temperature", options.temperature, "divide the logits; 0: always the best token").min(0).max(1000);
  fields.add("top-k", options.top_k, "draw from the N best tokens; 0: all").min(0);
  fields.add("top-p", options.top_p, "draw from the fewest best tokens that hold this share of the probability").above(0).max(1);
  fields.add("min-p", options.min_p, "draw from tokens at least this times as probable as the best").min(0).max(1);
  fields.add("greedy", options.greedy, "always the best token, as --temperature 0");
}

int32_t choose_token(std::span<const float> logits, std::span<const uint8_t> seen, const SamplingOptions& options, double u) {
  const bool penalty = options.repetition_penalty != 1 && !seen.empty();
  if (options.takes_best() && !penalty) {
    const Best best = decode_best(logits.data(), static_cast<int64_t>(logits.size()));
    if (best.usable) return static_cast<int32_t>(best.index);
  }
  checked_maximum(logits);
  const auto count = static_cast<int32_t>(logits.size());
  const auto score = [&](int32_t id) { return penalty && seen[id] != 0 ? penalised(logits[id], options.repetition_penalty) : logits[id]; };

  Candidate best{0, score(0)};
  for (int32_t id = 1; id < count; ++id)
    if (const double value = score(id); value > best.score) best = {id, value};
  if (options.takes_best()) return best.id;

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (int32_t id = 0; id < count; ++id) candidates.push_back({id, score(id)});
  keep_top_k(candidates, options.top_k);
  for (Candidate& candidate : candidates) candidate.score = std::exp((candidate.score - best.score) / options.temperature);  // the best: 1
  keep_top_p(candidates, options.top_p);
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.score < options.min_p; });
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.id < b.id; });

  double left = u * std::accumulate(candidates.begin(), candidates.end(), 0.0, add_score);
  int32_t chosen = best.id;
  for (const Candidate& candidate : candidates) {
    if (candidate.score == 0) continue;
    chosen = candidate.id;  // the last one when rounding leaves a rest
    left -= candidate.score;
    if (left < 0) break;
  }
  return chosen;
}

double log_probability(std::span<const float> logits, int32_t token) {
  return logits[static_cast<size_t>(token)] - log_normaliser(logits);
}

std::vector<TokenLogprob> best_log_probabilities(std::span<const float> logits, int64_t count) {
  const double normaliser = log_normaliser(logits);
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto kept = std::min(static_cast<std::ptrdiff_t>(count), static_cast<std::ptrdiff_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + kept, ids.end(),
                    [&](int32_t a, int32_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
  std::vector<TokenLogprob> best;
  for (std::ptrdiff_t i = 0; i < kept; ++i) best.push_back({ids[i], logits[ids[i]] - normaliser});
  return best;
}

}  // namespace aot
