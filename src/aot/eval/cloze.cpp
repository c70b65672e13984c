// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/cloze.h"

#include <algorithm>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/eval/benchmark_text.h"
#include "aot/eval/candidates.h"
#include "aot/io/error.h"

namespace aot {
namespace {

std::string with_option(std::string_view query, const std::string& option) {
  std::string out(query);
  for (size_t at = 0; (at = out.find(ClozeQuestion::kBlank, at)) != std::string::npos; at += option.size())
    out.replace(at, ClozeQuestion::kBlank.size(), option);
  return out;
}

/// The sentences, each with a space after it.
std::string story_of(const ClozeQuestion& question) {
  std::string out;
  for (const std::string& sentence : question.sentences) out += sentence + " ";
  return out;
}

/// What stands before the blank is encoded apart, without its last space, which the option gets instead.
std::vector<std::vector<int32_t>> given_what_comes_before(const ClozeQuestion& question, const Tokenizer& tokenizer,
                                                          const std::string& path) {
  const size_t blank = question.query.find(ClozeQuestion::kBlank);
  std::string before = story_of(question) + question.query.substr(0, blank);
  std::string space;
  while (before.ends_with(' ')) {
    before.pop_back();
    space = " ";
  }
  const std::vector<int32_t> shared = encode_item(before, tokenizer, path, question.line);
  std::vector<std::vector<int32_t>> texts;
  for (const std::string& option : question.options) {
    texts.push_back(shared);
    const auto ids =
        encode_item(space + with_option(std::string_view(question.query).substr(blank), option), tokenizer, path, question.line);
    texts.back().insert(texts.back().end(), ids.begin(), ids.end());
  }
  return texts;
}

void check_lengths(const std::vector<std::vector<int32_t>>& texts, int64_t context, const std::string& path, int64_t line) {
  const auto [shortest, longest] =
      std::minmax_element(texts.begin(), texts.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  if (static_cast<int64_t>(longest->size() - shortest->size()) >= context)
    throw FileError(path, str("line ", line),
                    str("the options differ by ", longest->size() - shortest->size(), " tokens, the model's context holds ", context));
}

}  // namespace

std::vector<std::vector<int32_t>> cloze_texts(const ClozeQuestion& question, ClozeProtocol protocol, const Tokenizer& tokenizer,
                                              const std::string& path) {
  if (protocol == ClozeProtocol::gpt2_paper) return given_what_comes_before(question, tokenizer, path);
  const int32_t separator = separator_of(tokenizer).id;
  const std::string story = story_of(question);
  std::vector<std::vector<int32_t>> texts;
  for (const std::string& option : question.options) {
    // A separator ends the text too, but it is not scored, so it is never read.
    texts.push_back({separator});
    const auto ids = encode_item(story + with_option(question.query, option), tokenizer, path, question.line);
    texts.back().insert(texts.back().end(), ids.begin(), ids.end());
  }
  return texts;
}

std::optional<ClozeScore> score_cloze(const LanguageModel& model, const Tokenizer& tokenizer, std::span<const ClozeQuestion> questions,
                                      const std::string& path, ClozeProtocol protocol, bool progress) {
  ClozeScore score{.count = static_cast<int64_t>(questions.size())};
  WindowMean accuracy;
  Progress line("cbt", static_cast<double>(questions.size()), "questions");
  for (const ClozeQuestion& question : questions) {
    if (stop_signal() != 0) return std::nullopt;
    const auto texts = cloze_texts(question, protocol, tokenizer, path);
    check_lengths(texts, model.options().context, path, question.line);
    CandidateScores candidates = candidate_scores(model, texts);
    ClozeAnswer answer{.line = question.line,
                       .right = question.right_option(),
                       .chosen = best_candidate(candidates.scores),
                       .scores = std::move(candidates.scores),
                       .cut = candidates.left_out > 0};
    accuracy.add(answer.chosen == answer.right ? 1 : 0, 1);
    score.cut += answer.cut ? 1 : 0;
    score.answers.push_back(std::move(answer));
    if (progress) line.update(static_cast<double>(accuracy.tokens()), str("accuracy ", accuracy.mean()));
  }
  score.accuracy = accuracy.score();
  return score;
}

}  // namespace aot
