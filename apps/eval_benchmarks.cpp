// SPDX-License-Identifier: Apache-2.0
// The published sets of `aot eval`: from the user's file to a row of results.
#include <filesystem>
#include <optional>

#include "aot/core/log.h"
#include "aot/eval/benchmark_text.h"
#include "aot/eval/cloze.h"
#include "aot/eval/lambada.h"
#include "aot/eval/published.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "apps/eval.h"
#include "apps/eval_tasks.h"

namespace aot {
namespace {

constexpr uint64_t kFileLimit = 256u << 20;  // all are read in memory; the largest published test file has some 10 MB

/// The examples of a file that are scored, and whether they are the published set.
template <class Example>
struct Examples {
  std::vector<Example> items;
  bool published = false;
};

/// Tells why a file is not the published one, and leaves the first examples alone when there is a limit.
template <class Example>
Examples<Example> taken(std::vector<Example> items, const std::vector<std::string>& doubts, const EvalTaskFlags& flags) {
  for (const std::string& doubt : doubts) log_warning(escaped(flags.text.data) + " is not the published file: " + doubt);
  if (flags.limit > 0 && items.size() > static_cast<size_t>(flags.limit)) items.resize(static_cast<size_t>(flags.limit));
  return {.items = std::move(items), .published = doubts.empty() && flags.limit == 0};
}

TokenizerPtr tokenizer_of(const LoadedLanguage& loaded) {
  const std::string path = loaded.checkpoint + "/tokenizer.json";
  if (!std::filesystem::exists(path)) throw FileError(loaded.checkpoint, "", "no tokenizer.json to read text with");
  TokenizerPtr tokenizer = read_tokenizer(path);
  if (const int64_t known = loaded.model->options().vocab_size; tokenizer->vocab_size() > known)
    throw FileError(path, "", str("has ", tokenizer->vocab_size(), " ids, the model knows ", known));
  return tokenizer;
}

Separator told_separator(const Tokenizer& tokenizer) {
  Separator separator = separator_of(tokenizer);
  if (tokenizer.end_of_text() < 0) log_info("the model's tokenizer has no <|endoftext|>: a " + separator.shown + " stands in its place");
  return separator;
}

/// Perplexity on lines or passages.
EvalScorer items_scorer(Examples<TextItem> examples, const EvalTaskFlags& flags) {
  return [examples = std::move(examples), &flags](const LoadedLanguage& loaded, const SampleSink& sink) {
    const TokenizerPtr tokenizer = tokenizer_of(loaded);
    std::string ends = "line feed";
    ItemTokens text;
    if (flags.detokenise) {
      text = encode_detokenised(examples.items, *tokenizer, flags.text.data);
    } else {
      const Separator separator = told_separator(*tokenizer);
      ends = separator.shown;
      text = encode_items(examples.items, *tokenizer, separator, flags.text.data);
    }
    EvalRow row = perplexity_row(loaded, source_of(text.tokens), tokenizer.get(), flags, text.words, sink);
    if (flags.detokenise) row.protocol += ", de-tokenised";
    row.json.update({{"items", examples.items.size()}, {"separator", ends}, {"published", examples.published}});
    return row;
  };
}

/// Nothing: a protocol of perplexity.
std::optional<LambadaProtocol> lambada_protocol(const std::string& name) {
  if (name == "tost") return LambadaProtocol::tost;
  if (name == "openai-greedy") return LambadaProtocol::openai_greedy;
  if (name == "gpt2-paper") return LambadaProtocol::gpt2_paper;
  return std::nullopt;
}

void log_lambada(const LambadaScore& score, const SampleSink& sink) {
  if (!sink) return;
  for (const LambadaAnswer& answer : score.answers) {
    Json sample = {{"line", answer.line}, {"target", answer.target}, {"output", answer.output}, {"correct", answer.correct}};
    if (score.strict) sample["strict"] = answer.strict;
    if (score.last_token) sample["last_token"] = answer.last_token;
    if (score.loss) sample.update({{"tokens", answer.tokens}, {"nats", answer.nats}});
    sample["cut"] = answer.cut;
    sink(sample);
  }
}

EvalRow lambada_row(const LambadaScore& score, const std::string& protocol, bool published) {
  EvalRow row{.protocol = protocol,
              .json = {{"accuracy", score.accuracy.mean}, {"stderr", or_null(score.accuracy.standard_error)}, {"count", score.count}},
              .cells = {{"accuracy", percent_text(score.accuracy.mean)}, {"±", percent_text(score.accuracy.standard_error)}}};
  const auto share = [&row](const char* key, const char* column, const MeanScore& mean) {
    row.json.update({{key, mean.mean}, {str(key, "_stderr"), or_null(mean.standard_error)}});
    row.cells.emplace_back(column, percent_text(mean.mean));
    row.cells.emplace_back("±", percent_text(mean.standard_error));
  };
  if (score.strict) share("strict", "strict", *score.strict);
  if (score.last_token) share("last_token", "last token", *score.last_token);
  if (score.loss) {
    row.json.update({{"loss", score.loss->mean},
                     {"loss_stderr", or_null(score.loss->standard_error)},
                     {"nats_per_word", score.loss->mean},
                     {"nats_per_token", or_null(score.nats_per_token)},
                     {"perplexity", or_null(score.perplexity)},
                     {"tokens", score.tokens}});
    row.cells.emplace_back("nats/word", number_text(score.loss->mean));
    row.cells.emplace_back("±", number_text(score.loss->standard_error));
    row.cells.emplace_back("nats/token", number_text(score.nats_per_token));
  }
  if (score.last_token) row.json["stop_tokens"] = score.stop_tokens;
  row.json.update({{"cut", score.cut}, {"published", published}});
  row.cells.emplace_back("passages", std::to_string(score.count));
  row.cells.emplace_back("cut", std::to_string(score.cut));
  return row;
}

}  // namespace

EvalScorer open_lines(const std::string& task, const EvalTaskFlags& flags) {
  std::vector<TextItem> lines = parse_lines(read_file(flags.text.data, kFileLimit), flags.text.data);
  const std::vector<std::string> doubts = doubts_about(published_set(task, flags.protocol), task, lines);
  return items_scorer(taken(std::move(lines), doubts, flags), flags);
}

EvalScorer open_lambada(const std::string& task, const EvalTaskFlags& flags) {
  Passages passages = parse_passages(read_file(flags.text.data, kFileLimit), flags.text.data);
  const std::vector<std::string> doubts = doubts_about(published_set(task, flags.protocol), passages);
  Examples<TextItem> examples = taken(std::move(passages.items), doubts, flags);
  const std::optional<LambadaProtocol> protocol = lambada_protocol(flags.protocol);
  if (!protocol) return items_scorer(std::move(examples), flags);
  return [examples = std::move(examples), protocol = *protocol, &flags](const LoadedLanguage& loaded, const SampleSink& sink) {
    const LambadaScore score = score_lambada(*loaded.model, *tokenizer_of(loaded), examples.items, flags.text.data, protocol, true).value();
    log_lambada(score, sink);
    return lambada_row(score, flags.protocol, examples.published);
  };
}

EvalScorer open_cloze(const std::string& task, const EvalTaskFlags& flags) {
  std::vector<ClozeQuestion> questions = parse_cloze(read_file(flags.text.data, kFileLimit), flags.text.data);
  const std::vector<std::string> doubts = doubts_about(published_set(task, flags.protocol), questions);
  return [examples = taken(std::move(questions), doubts, flags), &flags](const LoadedLanguage& loaded, const SampleSink& sink) {
    const TokenizerPtr tokenizer = tokenizer_of(loaded);
    const bool tost = flags.protocol == "tost";
    const Json separator = tost ? Json(told_separator(*tokenizer).shown) : Json(nullptr);
    const ClozeScore score = score_cloze(*loaded.model, *tokenizer, examples.items, flags.text.data,
                                         tost ? ClozeProtocol::tost : ClozeProtocol::gpt2_paper, true)
                                 .value();
    for (size_t i = 0; sink && i < score.answers.size(); ++i) {
      const ClozeAnswer& answer = score.answers[i];
      const std::vector<std::string>& options = examples.items[i].options;
      sink({{"line", answer.line},
            {"answer", options[answer.right]},
            {"chosen", options[answer.chosen]},
            {"correct", answer.right == answer.chosen},
            {"options", options},
            {"scores", answer.scores},
            {"cut", answer.cut}});
    }
    return EvalRow{.protocol = flags.protocol,
                   .json = {{"accuracy", score.accuracy.mean},
                            {"stderr", or_null(score.accuracy.standard_error)},
                            {"count", score.count},
                            {"cut", score.cut},
                            {"separator", separator},
                            {"published", examples.published}},
                   .cells = {{"accuracy", percent_text(score.accuracy.mean)},
                             {"±", percent_text(score.accuracy.standard_error)},
                             {"questions", std::to_string(score.count)},
                             {"cut", std::to_string(score.cut)}}};
  };
}

}  // namespace aot
