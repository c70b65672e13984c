// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/generate.h"

#include <algorithm>
#include <chrono>

#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/random.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"

namespace aot {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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

at::Tensor ids_tensor(std::span<const int32_t> ids, at::Device device) {
  const at::Tensor tensor = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
  return device.is_cpu() ? tensor : tensor.to(device);
}

/// The logits of the ids that the tokenizer knows, as float32 on the CPU.
class Row {
 public:
  Row(const at::Tensor& logits, int64_t known)
      : values_(logits.detach().to(at::kCPU, at::kFloat).contiguous()), span_(values_.data_ptr<float>(), static_cast<size_t>(known)) {}
  [[nodiscard]] std::span<const float> span() const { return span_; }

 private:
  at::Tensor values_;  // keeps the span's memory
  std::span<const float> span_;
};

}  // namespace

std::string finish_name(Finish finish) {
  return finish == Finish::length ? "length" : finish == Finish::stop ? "stop" : "end";
}

Generator::Generator(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt)
    : model_(model), tokenizer_(tokenizer), device_(model.parameters().front().value.device()), prompt_(tokenizer.encode(prompt)) {
  const LanguageOptions& options = model.options();
  known_ = std::min(tokenizer.vocab_size(), options.vocab_size);
  prompt_tokens_ = static_cast<int64_t>(prompt_.size());
  if (prompt_.empty()) prompt_.push_back(first_token(tokenizer));
  const auto unknown = std::find_if(prompt_.begin(), prompt_.end(), [&](int32_t id) { return id >= options.vocab_size; });
  if (unknown != prompt_.end())
    throw Error(ExitCode::bad_file, str("the tokenizer gives token ", *unknown, ", the model knows ", options.vocab_size, " tokens"));
  if (prompt_tokens_ > options.context) prompt_.erase(prompt_.begin(), prompt_.end() - options.context);

  const auto start = Clock::now();
  prompt_logits_ = read(prompt_);
  prompt_in_state_ = true;
  speed_.prompt_tokens = static_cast<int64_t>(prompt_.size());
  speed_.prompt_seconds = seconds_since(start);
}

at::Tensor Generator::read(std::span<const int32_t> ids) {
  const c10::InferenceMode guard;
  if (state_.layers.empty())
    state_ = model_.make_state(1, model_.options().context);
  else
    state_.truncate(0);
  return model_.step(ids_tensor(ids, device_), state_);
}

at::Tensor Generator::rewind() {
  const auto tokens = static_cast<int64_t>(prompt_.size());
  const bool can_go_back = state_.tokens() == tokens || model_.blocks().front().mixer().capabilities().truncate;
  if (prompt_in_state_ && can_go_back)
    state_.truncate(tokens);
  else
    prompt_logits_ = read(prompt_);
  prompt_in_state_ = true;
  return prompt_logits_;
}

Sample Generator::sample(uint64_t seed, const GenerateOptions& options, const std::function<void(std::string_view)>& on_text) {
  const c10::InferenceMode guard;
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
    seen.resize(static_cast<size_t>(model_.options().vocab_size));
    for (const int32_t id : prompt_) seen[id] = 1;
  }
  at::Tensor logits = rewind();
  const int64_t context = model_.options().context;

  const auto start = Clock::now();
  while (static_cast<int64_t>(sample.tokens.size()) < options.tokens) {
    const Row row(logits, known_);
    // Each place has its own draw, so a text does not depend on how many numbers were drawn before it.
    const double u = Random(derive_seed(seed, "sample", sample.tokens.size())).uniform();
    const int32_t token = choose_token(row.span(), seen, options.sampling, u);
    sample.tokens.push_back(token);
    if (options.logprobs > 0)
      sample.logprobs.push_back({{token, log_probability(row.span(), token)}, best_log_probabilities(row.span(), options.logprobs)});
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
      logits = read(window);
    } else {
      logits = model_.step(ids_tensor({&token, 1}, device_), state_);
    }
  }
  show(stream.finish());
  speed_.new_tokens += static_cast<int64_t>(sample.tokens.size());
  speed_.new_seconds += seconds_since(start);
  return sample;
}

}  // namespace aot
