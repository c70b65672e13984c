// SPDX-License-Identifier: Apache-2.0
// Text from a language model: one prompt, read once, and any number of samples that continue it (docs/generate.md).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aot/data/tokenizer.h"
#include "aot/generate/decoder.h"
#include "aot/generate/sampling.h"
#include "aot/models/language.h"

namespace aot {

struct GenerateOptions {
  int64_t tokens = 200;           // at most so many new ones
  std::vector<std::string> stop;  // the text ends before the first of these
  int64_t logprobs = 0;           // most probable tokens to tell at each place; 0: none
  SamplingOptions sampling;
};

enum class Finish {
  length,  // as many tokens as asked for
  stop,    // a stop string
  end,     // the model ended the document
};

std::string finish_name(Finish finish);

/// The model's own log-probabilities at one place: of the token taken, and of the best.
struct PlaceLogprobs {
  TokenLogprob taken;
  std::vector<TokenLogprob> best;
};

struct Sample {
  std::string text;             // valid UTF-8, without the prompt
  std::vector<int32_t> tokens;  // all that were drawn, also those of a stop string or the end of the document
  Finish finish = Finish::length;
  uint64_t seed = 0;
  std::vector<PlaceLogprobs> logprobs;  // one per token when asked for
};

/// Tokens worked through and the time that took.
struct GenerateSpeed {
  int64_t prompt_tokens = 0, new_tokens = 0;
  double prompt_seconds = 0, new_seconds = 0;
};

/// Continues one prompt with cached decoding, each sample a function of (weights, prompt, seed, options) alone: several are decoded
/// together where a sequence's bits do not depend on its batch (Decoder), else one after the other. Past the context the last half of it is
/// kept and read again: with C tokens held, token C + 1 continues the last max(1, C / 2) tokens. Not for use from two threads.
class Generator {
 public:
  /// Encodes and reads `prompt`, all but its last C tokens being left out. An empty prompt starts from the end-of-text token, else a
  /// newline, else token 0. Throws what the tokenizer throws. `model` and `tokenizer` must outlive this. `format` is the decoder's.
  ///   samples: how many will be asked for; caches are made for as many of them at a time as is reasonable.
  Generator(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt, NumberFormat format = NumberFormat::float32,
            int64_t samples = 1);

  using OnText = std::function<void(std::string_view piece)>;
  /// `on_text` gets the text piece by piece as it becomes certain; joined, the pieces are `Sample::text`.
  Sample sample(uint64_t seed, const GenerateOptions& options, const OnText& on_text = {});

  /// `count` samples with the seeds `seed`, `seed` + 1, ..., decoded together; count is 1 to `at_once`. `on_tokens` hears after each step
  /// how many tokens were drawn in all.
  std::vector<Sample> samples(uint64_t seed, int64_t count, const GenerateOptions& options,
                              const std::function<void(int64_t tokens)>& on_tokens = {});
  [[nodiscard]] int64_t at_once() const { return at_once_; }

  /// Tokens of the prompt, and how many of them were left out.
  [[nodiscard]] int64_t prompt_tokens() const { return prompt_tokens_; }
  [[nodiscard]] int64_t left_out() const { return std::max<int64_t>(0, prompt_tokens_ - static_cast<int64_t>(prompt_.size())); }
  [[nodiscard]] const GenerateSpeed& speed() const { return speed_; }

 private:
  class Continuation;

  /// Draws until all have ended. All have the same number of tokens in their windows.
  void run(std::span<Continuation> texts, int64_t most_tokens, const std::function<void(int64_t tokens)>& on_tokens);
  /// Forgets the state and reads `ids`, as many for each sequence.
  void read(std::span<const int32_t> ids);
  /// Brings the state back to the end of the prompt, for so many sequences.
  void rewind(int64_t sequences);
  /// The decoder's logits of the ids that the tokenizer knows.
  [[nodiscard]] std::span<const float> logits(int64_t row) const { return decoder_.logits(row).first(known_); }

  const LanguageOptions& shape_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> prompt_;
  int64_t prompt_tokens_ = 0;
  int64_t at_once_;
  size_t known_ = 0;  // ids below this may be drawn: the model's vocabulary may be padded
  Decoder decoder_;
  std::vector<float> prompt_logits_;
  bool prompt_in_state_ = false;  // the state still begins with the whole prompt
  GenerateSpeed speed_;
};

}  // namespace aot
