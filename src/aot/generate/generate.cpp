// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/generate.h"

#include <algorithm>

#include "aot/core/clock.h"
#include "aot/core/random.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// What an empty prompt starts from.
int32_t first_token(const Tokenizer& tokenizer) {
  if (tokenizer.end_of_text() >= 0) return tokenizer.end_of_text();
  try {
    const std::vector<int32_t> newline = tokenizer.encode("\n");
    return newline.size() == 1 ? newline[0] : 0;
  } catch (const Error&) {  // no such character in its vocabulary
    return 0;
  }
}

}  // namespace

std::string finish_name(Finish finish) {
  return finish == Finish::length ? "length" : finish == Finish::stop ? "stop" : "end";
}

Generator::Generator(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt, NumberFormat format)
    : shape_(model.options()), tokenizer_(tokenizer), prompt_(tokenizer.encode(prompt)), decoder_(model, {.format = format}) {
  const LanguageOptions& options = model.options();
  known_ = static_cast<size_t>(std::min(tokenizer.vocab_size(), options.vocab_size));
  prompt_tokens_ = static_cast<int64_t>(prompt_.size());
  if (prompt_.empty()) prompt_.push_back(first_token(tokenizer));
  const auto unknown = std::find_if(prompt_.begin(), prompt_.end(), [&](int32_t id) { return id >= options.vocab_size; });
  if (unknown != prompt_.end())
    throw Error(ExitCode::bad_file, str("the tokenizer gives token ", *unknown, ", the model knows ", options.vocab_size, " tokens"));
  if (prompt_tokens_ > options.context) prompt_.erase(prompt_.begin(), prompt_.end() - options.context);

  const auto start = Clock::now();
  const std::span<const float> row = read(prompt_);
  prompt_logits_.assign(row.begin(), row.end());
  prompt_in_state_ = true;
  speed_.prompt_tokens = static_cast<int64_t>(prompt_.size());
  speed_.prompt_seconds = seconds_since(start);
}

std::span<const float> Generator::read(std::span<const int32_t> ids) {
  decoder_.truncate(0);
  decoder_.read(ids, static_cast<int64_t>(ids.size()));
  return logits();
}

std::span<const float> Generator::rewind() {
  const auto tokens = static_cast<int64_t>(prompt_.size());
  if (prompt_in_state_ && (decoder_.tokens() == tokens || decoder_.can_truncate()))
    decoder_.truncate(tokens);
  else
    read(prompt_);
  prompt_in_state_ = true;
  return prompt_logits_;
}

Sample Generator::sample(uint64_t seed, const GenerateOptions& options, const std::function<void(std::string_view)>& on_text) {
  TextStream stream(options.stop);
  Sample sample;
  sample.seed = seed;
  const auto show = [&](const std::string& piece) {
    sample.text += piece;
    if (on_text && !piece.empty()) on_text(piece);
  };

  std::vector<int32_t> window = prompt_;  // what the state holds, and after a draw the new token too
  std::vector<uint8_t> seen;
  if (options.sampling.repetition_penalty != 1) {
    seen.resize(static_cast<size_t>(shape_.vocab_size));
    for (const int32_t id : prompt_) seen[id] = 1;
  }
  std::span<const float> row = rewind();
  const int64_t context = shape_.context;

  const auto start = Clock::now();
  while (static_cast<int64_t>(sample.tokens.size()) < options.tokens) {
    // Each place has its own draw, so a text does not depend on how many numbers were drawn before it.
    const double u = Random(derive_seed(seed, "sample", sample.tokens.size())).uniform();
    const int32_t token = choose_token(row, seen, options.sampling, u);
    sample.tokens.push_back(token);
    if (options.logprobs > 0)
      sample.logprobs.push_back({{token, log_probability(row, token)}, best_log_probabilities(row, options.logprobs)});
    if (token == tokenizer_.end_of_text()) {
      sample.finish = Finish::end;
      break;
    }
    show(stream.push(tokenizer_.bytes_of(token)));
    if (stream.stopped()) {
      sample.finish = Finish::stop;
      break;
    }
    if (static_cast<int64_t>(sample.tokens.size()) == options.tokens) break;  // no logits are needed after the last token

    if (!seen.empty()) seen[token] = 1;
    window.push_back(token);
    if (static_cast<int64_t>(window.size()) > context) {
      window.erase(window.begin(), window.end() - std::max<int64_t>(1, context / 2));
      prompt_in_state_ = false;
      row = read(window);
    } else {
      decoder_.step({&token, 1});
      row = logits();
    }
  }
  show(stream.finish());
  speed_.new_tokens += static_cast<int64_t>(sample.tokens.size());
  speed_.new_seconds += seconds_since(start);
  return sample;
}

}  // namespace aot
