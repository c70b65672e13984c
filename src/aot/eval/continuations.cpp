// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/continuations.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/core/signals.h"
#include "aot/generate/decoder.h"
#include "aot/generate/sampling.h"

namespace aot {
namespace {

constexpr int64_t kTokensPerBatch = 4096;  // of a forward pass, padding included
constexpr int64_t kRowsOfLogits = 64;      // made at once

/// The numbers 0 .. count - 1 in order of length(i), equal ones as they stand.
template <class Length>
std::vector<size_t> by_length(size_t count, const Length& length) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return length(a) < length(b); });
  return order;
}

/// A number of the targets of a batch: which text, which of its targets.
struct TargetPlace {
  size_t text = 0;
  int64_t target = 0;
  int64_t row = 0;  // of (B T, D)
};

/// Scores the places of a batch from its hidden rows (B T, D), some at a time.
void score_places(const LanguageModel& model, const at::Tensor& hidden, const std::vector<TargetPlace>& places,
                  const std::vector<TargetText>& texts, const TargetOptions& options, std::vector<TargetScore>& scores) {
  const auto all = static_cast<int64_t>(places.size());
  for (int64_t begin = 0; begin < all; begin += kRowsOfLogits) {
    const int64_t count = std::min(kRowsOfLogits, all - begin);
    const at::Tensor rows = at::empty({count}, at::kLong), targets = at::empty({count, 1}, at::kLong);
    const at::Tensor first = at::zeros({count, 1}, at::kBool);
    for (int64_t i = 0; i < count; ++i) {
      const TargetPlace& place = places[static_cast<size_t>(begin + i)];
      const TargetText& text = texts[place.text];
      rows.data_ptr<int64_t>()[i] = place.row;
      targets.data_ptr<int64_t>()[i] = text.ids[text.ids.size() - static_cast<size_t>(text.targets - place.target)];
      first.data_ptr<bool>()[i] = place.target == 0;
    }
    const at::Tensor logits = model.logits(hidden.index_select(0, rows.to(hidden.device()))).to(at::kDouble);                   // (n, V)
    const at::Tensor nats = at::log_softmax(logits, 1).gather(1, targets.to(logits.device())).neg().to(at::kCPU).contiguous();  // (n, 1)
    at::Tensor drawn = logits;
    if (options.never_first.defined()) {
      const at::Tensor never = first.to(logits.device()).logical_and(options.never_first.to(logits.device()).unsqueeze(0));  // (n, V)
      drawn = logits.masked_fill(never, -std::numeric_limits<double>::infinity());
    }
    const at::Tensor best = drawn.narrow(1, 0, std::min(options.known, logits.size(1))).argmax(1).to(at::kCPU).contiguous();  // (n,)
    for (int64_t i = 0; i < count; ++i) {
      const TargetPlace& place = places[static_cast<size_t>(begin + i)];
      const double value = nats.data_ptr<double>()[i];
      if (!std::isfinite(value)) throw NonFiniteError(str("loss of text ", place.text, ", target ", place.target));
      scores[place.text].nats.push_back(value);
      scores[place.text].best.push_back(static_cast<int32_t>(best.data_ptr<int64_t>()[i]));
    }
  }
}

/// The most probable ids after prompts of one length, which `decoder` reads from its start.
void decode_group(Decoder& decoder, const std::vector<std::vector<int32_t>>& prompts, std::span<const size_t> group, int64_t tokens,
                  int64_t known, std::vector<std::vector<int32_t>>& out) {
  const auto count = static_cast<int64_t>(group.size());
  decoder.truncate(0);
  if (count != decoder.sequences()) decoder.reorder(std::vector<int64_t>(group.size(), 0));
  std::vector<int32_t> ids;
  for (const size_t i : group) ids.insert(ids.end(), prompts[i].begin(), prompts[i].end());
  decoder.read(ids, static_cast<int64_t>(ids.size()) / count);
  for (int64_t token = 0; token < tokens; ++token) {
    ids.clear();
    for (int64_t row = 0; row < count; ++row) {
      const std::span<const float> logits = decoder.logits(row);
      ids.push_back(choose_token(logits.first(std::min(logits.size(), static_cast<size_t>(known))), {}, {.greedy = true}, 0));
      out[group[static_cast<size_t>(row)]].push_back(ids.back());
    }
    if (token + 1 < tokens) decoder.step(ids);
  }
}

}  // namespace

std::optional<std::vector<TargetScore>> score_targets(const LanguageModel& model, const std::vector<TargetText>& texts,
                                                      const TargetOptions& options) {
  const c10::InferenceMode guard;
  const at::Device device = model.parameters().front().value.device();
  const std::vector<size_t> order = by_length(texts.size(), [&](size_t i) { return texts[i].ids.size(); });
  std::vector<TargetScore> scores(texts.size());
  Progress line(options.what, static_cast<double>(texts.size()), "texts");
  for (size_t begin = 0; begin < order.size();) {
    if (stop_signal() != 0) return std::nullopt;
    size_t end = begin + 1;  // the last of a batch is its longest
    while (end < order.size() && static_cast<int64_t>((end + 1 - begin) * texts[order[end]].ids.size()) <= kTokensPerBatch) ++end;
    const auto rows = static_cast<int64_t>(end - begin), length = static_cast<int64_t>(texts[order[end - 1]].ids.size()) - 1;

    // Padded on the right, which no token of a text reads.
    const at::Tensor ids = at::zeros({rows, length}, at::kLong);  // (B, T)
    std::vector<TargetPlace> places;
    for (int64_t row = 0; row < rows; ++row) {
      const size_t index = order[begin + static_cast<size_t>(row)];
      const TargetText& text = texts[index];
      const auto inputs = static_cast<int64_t>(text.ids.size()) - 1;
      TORCH_CHECK_VALUE(text.targets >= 1 && text.targets <= inputs, "score_targets: ", text.targets, " targets in a text of ", inputs + 1);
      std::copy_n(text.ids.begin(), inputs, ids.data_ptr<int64_t>() + row * length);
      for (int64_t target = 0; target < text.targets; ++target)
        places.push_back({.text = index, .target = target, .row = row * length + inputs - text.targets + target});
    }
    score_places(model, model.hidden(ids.to(device)).flatten(0, 1), places, texts, options, scores);
    begin = end;
    if (*options.what != '\0') line.update(static_cast<double>(begin));
  }
  return scores;
}

std::optional<std::vector<std::vector<int32_t>>> greedy_continuations(const LanguageModel& model,
                                                                      const std::vector<std::vector<int32_t>>& prompts, int64_t tokens,
                                                                      int64_t known, const char* what) {
  std::vector<std::vector<int32_t>> out(prompts.size());
  if (prompts.empty() || tokens == 0) return out;
  const std::vector<size_t> order = by_length(prompts.size(), [&](size_t i) { return prompts[i].size(); });
  const int64_t room = static_cast<int64_t>(prompts[order.back()].size()) + tokens - 1;
  const auto most = static_cast<size_t>(most_sequences(model, room));
  Decoder decoder(model, {.batch = static_cast<int64_t>(std::min(most, prompts.size())), .max_tokens = room});
  Progress line(what, static_cast<double>(prompts.size()), "texts");
  for (size_t begin = 0; begin < order.size();) {
    if (stop_signal() != 0) return std::nullopt;
    size_t end = begin + 1;
    while (end < order.size() && end - begin < most && prompts[order[end]].size() == prompts[order[begin]].size()) ++end;
    decode_group(decoder, prompts, std::span(order).subspan(begin, end - begin), tokens, known, out);
    begin = end;
    if (*what != '\0') line.update(static_cast<double>(begin));
  }
  return out;
}

}  // namespace aot
