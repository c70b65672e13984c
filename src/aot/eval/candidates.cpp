// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/candidates.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/non_finite.h"
#include "aot/ops/cross_entropy.h"

namespace aot {
namespace {

using Ids = std::span<const int32_t>;

size_t shared_tokens(const std::vector<Ids>& candidates) {
  const Ids& first = candidates.front();
  size_t shared = first.size();
  for (const Ids& other : candidates)
    shared = static_cast<size_t>(
        std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(shared), other.begin(), other.end()).first -
        first.begin());
  return shared;
}

}  // namespace

CandidateScores candidate_scores(const LanguageModel& model, const std::vector<std::vector<int32_t>>& candidates) {
  const auto context = static_cast<size_t>(model.options().context), count = candidates.size();
  TORCH_CHECK_VALUE(count > 0, "candidate_scores: needs candidates");
  size_t longest = 0;
  for (const auto& ids : candidates) longest = std::max(longest, ids.size());
  const size_t left_out = longest > context ? longest - context : 0;
  std::vector<Ids> kept;
  for (const auto& ids : candidates) {
    TORCH_CHECK_VALUE(ids.size() > left_out, "candidate_scores: a candidate of ", ids.size(), " tokens is empty without the first ",
                      left_out);
    kept.push_back(Ids(ids).subspan(left_out));
  }
  const size_t first = std::max<size_t>(shared_tokens(kept), 1);  // the first token that is scored
  const size_t tail = longest - left_out - first;
  CandidateScores out{.scores = std::vector<double>(count, 0), .left_out = static_cast<int64_t>(left_out)};
  if (tail == 0) return out;

  const c10::InferenceMode guard;
  const at::Device device = model.parameters().front().value.device();
  const auto rows = static_cast<int64_t>(count), steps = static_cast<int64_t>(tail), before = static_cast<int64_t>(first) - 1;
  LanguageState state = model.make_state(1, before + steps);
  if (before > 0) {
    const at::Tensor shared = at::zeros({1, before}, at::kLong);
    std::copy_n(kept.front().begin(), before, shared.data_ptr<int64_t>());
    static_cast<void>(model.step(shared.to(device), state));
  }
  state.reorder(at::zeros({rows}, at::TensorOptions(at::kLong).device(device)));

  // Candidates that end before the longest are padded on the right, which nothing before it reads.
  const at::Tensor ids = at::zeros({rows, steps}, at::kLong), targets = at::full({rows, steps}, kIgnoredTarget, at::kLong);
  for (size_t row = 0; row < count; ++row) {
    const Ids tokens = kept[row].subspan(first - 1);
    const auto offset = static_cast<int64_t>(row) * steps;
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      ids.data_ptr<int64_t>()[offset + static_cast<int64_t>(t)] = tokens[t];
      targets.data_ptr<int64_t>()[offset + static_cast<int64_t>(t)] = tokens[t + 1];
    }
  }
  const at::Tensor losses = model.token_losses(ids.to(device), targets.to(device), state).to(at::kCPU, at::kDouble).sum(1).contiguous();
  for (size_t row = 0; row < count; ++row) {
    out.scores[row] = -losses.data_ptr<double>()[row];
    if (!std::isfinite(out.scores[row])) throw NonFiniteError(str("log-probability of candidate ", row));
  }
  return out;
}

size_t best_candidate(const std::vector<double>& scores) {
  return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

}  // namespace aot
