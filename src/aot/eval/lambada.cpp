// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/lambada.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "aot/core/text.h"
#include "aot/eval/benchmark_text.h"
#include "aot/eval/continuations.h"
#include "aot/eval/stop_words.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kNewTokens = 10;  // of tost

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

std::string_view without_punctuation(std::string_view word) {
  return stripped(word, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
}

/// Mean and standard error of a number of each answer.
template <class Number>
MeanScore mean_over(const std::vector<LambadaAnswer>& answers, const Number& number) {
  WindowMean mean;
  for (const LambadaAnswer& answer : answers) mean.add(static_cast<double>(number(answer)), 1);
  return mean.score();
}

int64_t known_ids(const LanguageModel& model, const Tokenizer& tokenizer) {
  return std::min(tokenizer.vocab_size(), model.options().vocab_size);
}

/// Only the last `most` ids stay; whether that cut any.
bool keep_last(std::vector<int32_t>& ids, int64_t most) {
  const auto size = static_cast<int64_t>(ids.size());
  if (size <= most) return false;
  ids.erase(ids.begin(), ids.end() - most);
  return true;
}

/// Ten greedy tokens after every context. False when a signal asked for a stop.
bool write_outputs(const LanguageModel& model, const Tokenizer& tokenizer, std::span<const TextItem> passages, const std::string& path,
                   bool progress, std::vector<LambadaAnswer>& answers) {
  const int64_t context = model.options().context;
  if (context < kNewTokens)
    throw UsageError(str("protocol tost writes ", kNewTokens, " tokens, the model's context holds ", context), "try openai-greedy");
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < passages.size(); ++i) {
    const SplitPassage split = split_passage(passages[i].text, LambadaProtocol::tost);
    answers[i].target = split.target;
    prompts.push_back(encode_item(split.context, tokenizer, path, passages[i].line));
    answers[i].cut = keep_last(prompts.back(), context + 1 - kNewTokens);
  }
  const auto written = greedy_continuations(model, prompts, kNewTokens, known_ids(model, tokenizer), progress ? "lambada" : "");
  if (!written) return false;
  for (size_t i = 0; i < passages.size(); ++i) {
    LambadaAnswer& answer = answers[i];
    answer.output = tokenizer.decode((*written)[i]);
    answer.correct = holds_target(answer.output, answer.target);
    answer.strict = begins_with_target(answer.output, answer.target);
  }
  return true;
}

/// The tokens of a context, or the separator of an empty one, and those of a space and the target.
TargetText target_text(const SplitPassage& split, const Tokenizer& tokenizer, const std::string& path, int64_t line) {
  TargetText out{.ids = encode_item(split.context, tokenizer, path, line)};
  if (out.ids.empty()) out.ids.push_back(separator_of(tokenizer).id);
  const std::vector<int32_t> target = encode_item(" " + split.target, tokenizer, path, line);
  out.targets = static_cast<int64_t>(target.size());
  out.ids.insert(out.ids.end(), target.begin(), target.end());
  return out;
}

/// The probability of every target, and whether it is what the model would write. False when a signal asked for a stop.
bool read_targets(const LanguageModel& model, const Tokenizer& tokenizer, std::span<const TextItem> passages, const std::string& path,
                  LambadaProtocol protocol, const at::Tensor& never_first, bool progress, std::vector<LambadaAnswer>& answers) {
  const int64_t context = model.options().context;
  std::vector<TargetText> texts;
  for (size_t i = 0; i < passages.size(); ++i) {
    const SplitPassage split = split_passage(passages[i].text, protocol);
    texts.push_back(target_text(split, tokenizer, path, passages[i].line));
    answers[i].target = split.target;
    answers[i].tokens = texts.back().targets;
    if (answers[i].tokens > context)
      throw FileError(path, str("line ", passages[i].line),
                      str("its last word has ", answers[i].tokens, " tokens, the model's context holds ", context));
    answers[i].cut = keep_last(texts.back().ids, context + 1);
  }
  const auto scores =
      score_targets(model, texts, {.known = known_ids(model, tokenizer), .never_first = never_first, .what = progress ? "lambada" : ""});
  if (!scores) return false;
  for (size_t i = 0; i < passages.size(); ++i) {
    LambadaAnswer& answer = answers[i];
    const TargetScore& score = (*scores)[i];
    const auto target = texts[i].ids.end() - answer.tokens;
    answer.nats = std::accumulate(score.nats.begin(), score.nats.end(), 0.0);
    answer.output = tokenizer.decode(score.best);
    answer.correct = std::equal(score.best.begin(), score.best.end(), target);
    answer.last_token = score.best.back() == texts[i].ids.back();
  }
  return true;
}

}  // namespace

SplitPassage split_passage(std::string_view text, LambadaProtocol protocol) {
  std::string prepared(text);
  if (protocol != LambadaProtocol::openai_greedy) {
    replace_all(prepared, "“", "\"");
    replace_all(prepared, "”", "\"");
  }
  const std::string_view whole = stripped(prepared);
  const size_t space = whole.rfind(' ');
  SplitPassage out{.context = protocol == LambadaProtocol::openai_greedy ? "" : "\n", .target = std::string(whole.substr(space + 1))};
  if (space == std::string_view::npos) return out;
  std::string_view context = whole.substr(0, space);
  while (context.ends_with(' ')) context.remove_suffix(1);
  out.context += context;
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] >= 'A' && out[i] <= 'Z') out[i] = static_cast<char>(out[i] - 'A' + 'a');
    // U+00C0 .. U+00DE but the sign of multiplication are 0xC3 0x80 .. 0x9E; lower case is 0x20 further on.
    const bool after_c3 = i > 0 && static_cast<unsigned char>(out[i - 1]) == 0xc3;
    const auto byte = static_cast<unsigned char>(out[i]);
    if (after_c3 && byte >= 0x80 && byte <= 0x9e && byte != 0x97) out[i] = static_cast<char>(byte + 0x20);
  }
  return out;
}

bool holds_target(std::string_view output, std::string_view target) {
  return lower_case(output).find(lower_case(target)) != std::string::npos;
}

bool begins_with_target(std::string_view output, std::string_view target) {
  output = stripped(output);
  output = output.substr(0, output.find_first_of(kAsciiSpaces));
  const std::string_view bare = without_punctuation(target);
  if (bare.empty()) return output == target;
  return lower_case(without_punctuation(output)) == lower_case(bare);
}

std::optional<LambadaScore> score_lambada(const LanguageModel& model, const Tokenizer& tokenizer, std::span<const TextItem> passages,
                                          const std::string& path, LambadaProtocol protocol, bool progress) {
  LambadaScore score{.count = static_cast<int64_t>(passages.size()), .answers = std::vector<LambadaAnswer>(passages.size())};
  std::vector<LambadaAnswer>& answers = score.answers;
  for (size_t i = 0; i < passages.size(); ++i) answers[i].line = passages[i].line;
  if (protocol == LambadaProtocol::tost) {
    if (!write_outputs(model, tokenizer, passages, path, progress, answers)) return std::nullopt;
    score.strict = mean_over(answers, [](const LambadaAnswer& a) { return a.strict; });
  } else {
    at::Tensor never_first;
    if (protocol == LambadaProtocol::gpt2_paper) {
      never_first = stop_word_ids(tokenizer, model.options().vocab_size);
      score.stop_tokens = never_first.sum().item<int64_t>();
    }
    if (!read_targets(model, tokenizer, passages, path, protocol, never_first, progress, answers)) return std::nullopt;
    if (protocol == LambadaProtocol::gpt2_paper) score.last_token = mean_over(answers, [](const LambadaAnswer& a) { return a.last_token; });
    score.loss = mean_over(answers, [](const LambadaAnswer& a) { return a.nats; });
    score.perplexity = std::exp(score.loss->mean);
    for (const LambadaAnswer& answer : answers) score.tokens += answer.tokens;
    score.nats_per_token = score.loss->mean * static_cast<double>(score.count) / static_cast<double>(score.tokens);
  }
  score.accuracy = mean_over(answers, [](const LambadaAnswer& a) { return a.correct; });
  score.cut = std::count_if(answers.begin(), answers.end(), [](const LambadaAnswer& a) { return a.cut; });
  return score;
}

}  // namespace aot
