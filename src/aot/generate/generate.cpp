// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/generate.h"

#include <algorithm>

#include "aot/core/clock.h"
#include "aot/core/random.h"
#include "aot/generate/packed_model.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// What an empty prompt starts from.
int32_t first_token(const Tokenizer& tokenizer) {
  return tokenizer.separator().value_or(0);
}

/// How many samples to decode together. No choice changes a text.
int64_t sequences_at_once(const LanguageModel& model, NumberFormat format, int64_t samples) {
  if (!decodes_natively(model)) return 1;  // LibTorch's products may round otherwise over several rows than over one
  return std::clamp<int64_t>(samples, 1, most_sequences(model, model.options().context, format));
}

}  // namespace

std::string finish_name(Finish finish) {
  return finish == Finish::length ? "length" : finish == Finish::stop ? "stop" : "end";
}

/// One text while it grows.
class Generator::Continuation {
 public:
  Continuation(const Tokenizer& tokenizer, const LanguageOptions& shape, const std::vector<int32_t>& prompt, uint64_t seed,
               const GenerateOptions& options, OnText on_text = {})
      : tokenizer_(tokenizer), options_(options), on_text_(std::move(on_text)), stream_(options.stop), window_(prompt) {
    sample_.seed = seed;
    if (options.sampling.repetition_penalty == 1) return;
    seen_.resize(static_cast<size_t>(shape.vocab_size));
    for (const int32_t id : prompt) seen_[id] = 1;
  }

  /// Draws the next token from its logits; whether the text goes on.
  bool draw(std::span<const float> row) {
    // Each place has its own draw, so a text does not depend on how many numbers were drawn before it.
    const double u = Random(derive_seed(sample_.seed, "sample", sample_.tokens.size())).uniform();
    const int32_t token = choose_token(row, seen_, options_.sampling, u);
    sample_.tokens.push_back(token);
    if (options_.logprobs > 0)
      sample_.logprobs.push_back({{token, log_probability(row, token)}, best_log_probabilities(row, options_.logprobs)});
    if (token == tokenizer_.end_of_text()) {
      sample_.finish = Finish::end;
      return false;
    }
    show(stream_.push(tokenizer_.bytes_of(token)));
    if (stream_.stopped()) {
      sample_.finish = Finish::stop;
      return false;
    }
    if (!seen_.empty()) seen_[token] = 1;
    window_.push_back(token);
    return static_cast<int64_t>(sample_.tokens.size()) < options_.tokens;
  }

  Sample finish() {
    show(stream_.finish());
    return std::move(sample_);
  }

  /// What the state holds of it, and the token drawn last.
  std::vector<int32_t>& window() { return window_; }
  [[nodiscard]] int64_t tokens() const { return static_cast<int64_t>(sample_.tokens.size()); }

 private:
  void show(const std::string& piece) {
    sample_.text += piece;
    if (on_text_ && !piece.empty()) on_text_(piece);
  }

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  OnText on_text_;
  TextStream stream_;
  Sample sample_;
  std::vector<int32_t> window_;
  std::vector<uint8_t> seen_;
};

Generator::Generator(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt, NumberFormat format, int64_t samples)
    : shape_(model.options()),
      tokenizer_(tokenizer),
      prompt_(tokenizer.encode(prompt)),
      at_once_(sequences_at_once(model, format, samples)),
      decoder_(model, {.batch = at_once_, .format = format}) {
  const LanguageOptions& options = model.options();
  known_ = static_cast<size_t>(std::min(tokenizer.vocab_size(), options.vocab_size));
  prompt_tokens_ = static_cast<int64_t>(prompt_.size());
  if (prompt_.empty()) prompt_.push_back(first_token(tokenizer));
  const auto unknown = std::find_if(prompt_.begin(), prompt_.end(), [&](int32_t id) { return id >= options.vocab_size; });
  if (unknown != prompt_.end())
    throw Error(ExitCode::bad_file, str("the tokenizer gives token ", *unknown, ", the model knows ", options.vocab_size, " tokens"));
  if (prompt_tokens_ > options.context) prompt_.erase(prompt_.begin(), prompt_.end() - options.context);

  const auto start = Clock::now();
  rewind(1);
  const std::span<const float> row = logits(0);
  prompt_logits_.assign(row.begin(), row.end());
  speed_.prompt_tokens = static_cast<int64_t>(prompt_.size());
  speed_.prompt_seconds = seconds_since(start);
}

void Generator::read(std::span<const int32_t> ids) {
  decoder_.truncate(0);
  decoder_.read(ids, static_cast<int64_t>(ids.size()) / decoder_.sequences());
}

void Generator::rewind(int64_t sequences) {
  const auto become = [this](const std::vector<int64_t>& rows) {
    if (static_cast<int64_t>(rows.size()) != decoder_.sequences()) decoder_.reorder(rows);
  };
  const auto tokens = static_cast<int64_t>(prompt_.size());
  become({0});
  if (prompt_in_state_ && (decoder_.tokens() == tokens || decoder_.can_truncate()))
    decoder_.truncate(tokens);
  else
    read(prompt_);
  prompt_in_state_ = true;
  become(std::vector<int64_t>(static_cast<size_t>(sequences), 0));
}

void Generator::run(std::span<Continuation> texts, int64_t most_tokens, const std::function<void(int64_t tokens)>& on_tokens) {
  if (most_tokens == 0) return;
  const auto start = Clock::now();
  rewind(static_cast<int64_t>(texts.size()));
  std::vector<Continuation*> live;  // of each sequence of the decoder
  for (Continuation& text : texts) live.push_back(&text);
  const auto context = static_cast<size_t>(shape_.context);
  int64_t drawn = 0;
  std::vector<int32_t> ids;
  for (bool first = true;; first = false) {
    std::vector<int64_t> going_on;
    for (size_t i = 0; i < live.size(); ++i)
      if (live[i]->draw(first ? std::span<const float>(prompt_logits_) : logits(static_cast<int64_t>(i))))
        going_on.push_back(static_cast<int64_t>(i));
    drawn += static_cast<int64_t>(live.size());
    if (on_tokens) on_tokens(drawn);
    if (going_on.empty()) break;
    if (going_on.size() < live.size()) {
      decoder_.reorder(going_on);
      for (size_t i = 0; i < going_on.size(); ++i) live[i] = live[static_cast<size_t>(going_on[i])];
      live.resize(going_on.size());
    }
    ids.clear();
    if (live.front()->window().size() > context) {  // they are all as long
      for (Continuation* text : live) {
        std::vector<int32_t>& window = text->window();
        window.erase(window.begin(), window.end() - static_cast<std::ptrdiff_t>(std::max<size_t>(1, context / 2)));
        ids.insert(ids.end(), window.begin(), window.end());
      }
      prompt_in_state_ = false;
      read(ids);
    } else {
      for (Continuation* text : live) ids.push_back(text->window().back());
      decoder_.step(ids);
    }
  }
  speed_.new_tokens += drawn;
  speed_.new_seconds += seconds_since(start);
}

Sample Generator::sample(uint64_t seed, const GenerateOptions& options, const OnText& on_text) {
  Continuation text(tokenizer_, shape_, prompt_, seed, options, on_text);
  run({&text, 1}, options.tokens, {});
  return text.finish();
}

std::vector<Sample> Generator::samples(uint64_t seed, int64_t count, const GenerateOptions& options,
                                       const std::function<void(int64_t tokens)>& on_tokens) {
  TORCH_CHECK_VALUE(count >= 1 && count <= at_once_, "generator: made for 1 to ", at_once_, " samples at once, got ", count);
  std::vector<Continuation> texts;
  texts.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) texts.emplace_back(tokenizer_, shape_, prompt_, seed + static_cast<uint64_t>(i), options);
  run(texts, options.tokens, on_tokens);
  std::vector<Sample> samples;
  for (Continuation& text : texts) samples.push_back(text.finish());
  return samples;
}

}  // namespace aot
