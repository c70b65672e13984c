// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/text.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/slice.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kTokensPerBatch = 4096;  // enough to fill the matrix product at any width; activations stay small

/// What the scored tokens of one window gave.
struct WindowSum {
  double nats = 0;
  int64_t bytes = 0;
};

/// Windows by number.
struct WindowList {
  int64_t count = 0;
  std::function<Window(int64_t index)> at;
};

/// Losses (B, T) of `count` windows of equal length from `index` on, float64 on the CPU. `ids` is (B, T + 1).
at::Tensor window_losses(const LanguageModel& model, const at::Tensor& ids, at::Device device) {
  const int64_t length = ids.size(1) - 1;
  const at::Tensor moved = ids.to(device);
  return model.token_losses(moved.slice(1, 0, length), moved.slice(1, 1, length + 1)).to(at::kCPU, at::kDouble).contiguous();
}

/// Visits the windows in order, in batches of equal length. False when a signal asked for a stop.
bool for_each_window(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer, const WindowList& list,
                     const std::function<void(int64_t index, const Window& window, const WindowSum& sum)>& visit) {
  const at::Device device = model.parameters().front().value.device();
  const int64_t batch = std::max<int64_t>(1, kTokensPerBatch / model.options().context);
  for (int64_t index = 0; index < list.count;) {
    if (stop_signal() != 0) return false;
    const int64_t length = list.at(index).length;
    int64_t count = 1;
    while (count < batch && index + count < list.count && list.at(index + count).length == length) ++count;

    const at::Tensor ids = at::empty({count, length + 1}, at::kLong);  // (B, T + 1)
    for (int64_t row = 0; row < count; ++row)
      source.read(list.at(index + row).first, length + 1, ids.data_ptr<int64_t>() + row * (length + 1));
    const at::Tensor losses = window_losses(model, ids, device);  // (B, T)

    for (int64_t row = 0; row < count; ++row) {
      const Window window = list.at(index + row);
      const double* loss = losses.data_ptr<double>() + row * length;
      const int64_t* target = ids.data_ptr<int64_t>() + row * (length + 1) + 1;
      WindowSum sum;
      for (int64_t t = length - window.scored; t < length; ++t) {
        sum.nats += loss[t];
        if (tokenizer != nullptr) sum.bytes += static_cast<int64_t>(tokenizer->bytes_of(static_cast<int32_t>(target[t])).size());
      }
      if (!std::isfinite(sum.nats)) throw NonFiniteError(str("loss of window ", index + row, ", tokens ", window.first, " and on"));
      visit(index + row, window, sum);
    }
    index += count;
  }
  return true;
}

/// What a score is made of.
class Scoring {
 public:
  explicit Scoring(const TextReading& reading) : reading_(reading) {}
  void add(const Window& window, const WindowSum& sum) {
    mean_.add(sum.nats, window.scored);
    bytes_ += sum.bytes;
    if (reading_.on_window) reading_.on_window(window, sum.nats);
  }
  [[nodiscard]] const WindowMean& mean() const { return mean_; }

  [[nodiscard]] TextScore score(const std::string& protocol, int64_t text_tokens) const {
    TextScore score{.protocol = protocol,
                    .loss = mean_.mean(),
                    .standard_error = mean_.standard_error(),
                    .tokens = mean_.tokens(),
                    .windows = mean_.windows(),
                    .bytes = bytes_};
    score.perplexity = std::exp(score.loss);
    if (bytes_ > 0) score.bits_per_byte = score.loss * static_cast<double>(score.tokens) / (std::log(2.0) * static_cast<double>(bytes_));
    if (reading_.words > 0) {
      const int64_t tokens = reading_.protocol == TextProtocol::tost ? text_tokens : score.tokens;
      const double tokens_per_word = static_cast<double>(tokens) / static_cast<double>(reading_.words);
      score.nats_per_word = score.loss * tokens_per_word;
      if (score.standard_error) score.word_error = *score.standard_error * tokens_per_word;
    }
    if (reading_.protocol == TextProtocol::word) score.perplexity = std::exp(score.nats_per_word.value());
    return score;
  }

 private:
  const TextReading& reading_;
  WindowMean mean_;
  int64_t bytes_ = 0;
};

/// Every place is scored once, however often it was drawn: small texts have few places.
std::optional<TextScore> score_random(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer,
                                      const TextReading& reading) {
  const int64_t context = model.options().context;
  std::vector<int64_t> drawn;
  for (int64_t i = 0; i < reading.windows; ++i) drawn.push_back(random_window(i, source.tokens, context, reading.seed).first);
  std::vector<int64_t> places = drawn;
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());

  const int64_t length = std::min(context, source.tokens - 1);
  const auto window = [length](int64_t first) { return Window{first, length, length}; };
  std::vector<WindowSum> sums(places.size());
  Progress line("evaluating", static_cast<double>(places.size()) * static_cast<double>(length), "tokens");
  const bool whole = for_each_window(
      model, source, tokenizer,
      {.count = static_cast<int64_t>(places.size()), .at = [&](int64_t i) { return window(places[static_cast<size_t>(i)]); }},
      [&](int64_t index, const Window&, const WindowSum& sum) {
        sums[static_cast<size_t>(index)] = sum;
        if (reading.progress) line.update(static_cast<double>((index + 1) * length));
      });
  if (!whole) return std::nullopt;
  Scoring scoring(reading);
  for (const int64_t first : drawn)
    scoring.add(window(first), sums[static_cast<size_t>(std::lower_bound(places.begin(), places.end(), first) - places.begin())]);
  return scoring.score("tost", source.tokens);
}

int64_t stride_of(const TextReading& reading, int64_t context) {
  if (reading.protocol != TextProtocol::strided) return context;
  const int64_t stride = reading.stride == 0 ? std::min<int64_t>(512, std::max<int64_t>(1, context / 2)) : reading.stride;
  if (stride < 1 || stride > context)
    throw UsageError(str("--stride: need 1 to ", context, ", the model's context (found ", stride, ")"),
                     "a longer one would leave tokens out");
  return stride;
}

}  // namespace

std::optional<TextScore> score_text(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer,
                                    const TextReading& reading) {
  const int64_t context = model.options().context, stride = stride_of(reading, context);
  if (source.tokens < 2) throw Error(ExitCode::bad_file, str("need at least 2 tokens to score one (found ", source.tokens, ")"));
  if (reading.protocol == TextProtocol::word && reading.words < 1)
    throw Error(ExitCode::bad_file, "need at least 1 word for a perplexity per word (none is known)");
  const c10::InferenceMode guard;
  if (reading.protocol == TextProtocol::tost) return score_random(model, source, tokenizer, reading);

  Scoring scoring(reading);
  Progress line("evaluating", static_cast<double>(source.tokens - 1), "tokens");
  const bool whole = for_each_window(model, source, tokenizer,
                                     {.count = window_count(source.tokens, context, stride),
                                      .at = [&](int64_t i) { return window_at(i, source.tokens, context, stride); }},
                                     [&](int64_t, const Window& window, const WindowSum& sum) {
                                       scoring.add(window, sum);
                                       if (reading.progress)
                                         line.update(static_cast<double>(scoring.mean().tokens()), str("loss ", scoring.mean().mean()));
                                     });
  if (!whole) return std::nullopt;
  const char* protocol = reading.protocol == TextProtocol::word ? "word" : stride == context ? "windows" : "strided";
  TextScore score = scoring.score(protocol, source.tokens);
  score.stride = stride;
  return score;
}

std::optional<TextScore> score_text(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer, int64_t stride,
                                    bool progress) {
  return score_text(model, source, tokenizer,
                    {.protocol = stride == 0 ? TextProtocol::windows : TextProtocol::strided, .stride = stride, .progress = progress});
}

}  // namespace aot
