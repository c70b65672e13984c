// SPDX-License-Identifier: Apache-2.0
// What the language tasks of `aot eval` share: their flags, models one after the other, one table, a file of examples.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aot/io/json.h"
#include "aot/models/language.h"
#include "apps/command.h"
#include "apps/text_input.h"

namespace aot {

struct EvalTaskFlags {
  std::vector<std::string> models;
  TextFlags text;  // its data alone, but for `text`
  std::string protocol, log_samples;
  int64_t limit = 0, stride = 0, windows = 16'000;
  bool detokenise = false;
  uint64_t seed = 1;
};

struct LoadedLanguage {
  std::string checkpoint;
  std::unique_ptr<LanguageModel> model;
};

/// One line of results.
struct EvalRow {
  std::string protocol;
  Json json;                                               // what stands between "protocol" and "model"
  std::vector<std::pair<std::string, std::string>> cells;  // of the table: column, text
};

/// Takes what one example gave; empty when nobody asks.
using SampleSink = std::function<void(const Json& sample)>;
/// Scores a model on data that is open.
using EvalScorer = std::function<EvalRow(const LoadedLanguage& loaded, const SampleSink& sink)>;

/// For scorers: a score of windows of text, under flags.protocol; `words` of the original, 0: not known.
EvalRow perplexity_row(const LoadedLanguage& loaded, const TokenSource& source, const Tokenizer* tokenizer, const EvalTaskFlags& flags,
                       int64_t words, const SampleSink& sink);
/// The tasks on published files: their `open`.
EvalScorer open_lines(const std::string& task, const EvalTaskFlags& flags);
EvalScorer open_lambada(const std::string& task, const EvalTaskFlags& flags);
EvalScorer open_cloze(const std::string& task, const EvalTaskFlags& flags);

}  // namespace aot
