// SPDX-License-Identifier: Apache-2.0
// LAMBADA: how often a model finds the last word of a passage [Paperno et al. 2016], under the protocols of docs/eval.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aot/data/benchmark_files.h"
#include "aot/data/tokenizer.h"
#include "aot/eval/windows.h"
#include "aot/models/language.h"

namespace aot {

enum class LambadaProtocol {
  tost,           // ten greedy tokens, somewhere in which the word stands
  openai_greedy,  // every token of the word is the most probable one
  gpt2_paper,     // the same, but the first may be no stop word
};

/// What one passage gave.
struct LambadaAnswer {
  int64_t line = 0;
  std::string target;
  std::string output;  // what the model writes: ten tokens, or the most probable token at each place of the target
  int64_t tokens = 0;  // of the target; not of tost
  double nats = 0;     // of the target; not of tost
  bool correct = false;
  bool strict = false;      // tost: the output's first word is the target
  bool last_token = false;  // gpt2-paper: the last token of the target is the most probable one, those before it given
  bool cut = false;         // the passage passed the context
};

struct LambadaScore {
  MeanScore accuracy;
  std::optional<MeanScore> strict, last_token;
  std::optional<MeanScore> loss;           // nats a word; not of tost
  std::optional<double> perplexity;        // exp of it
  std::optional<double> nats_per_token;    // of the target
  int64_t count = 0, cut = 0, tokens = 0;  // passages; those that lost their start; tokens of targets
  int64_t stop_tokens = 0;                 // gpt2-paper: ids that were filtered
  std::vector<LambadaAnswer> answers;      // in the order of the passages
};

/// A passage without its last word, and that word, as a protocol reads them.
struct SplitPassage {
  std::string context;  // without a space at its end; may be empty
  std::string target;
};
SplitPassage split_passage(std::string_view text, LambadaProtocol protocol);

/// Lower case of ASCII and of Latin-1's letters.
std::string lower_case(std::string_view text);
/// lower(target) is a part of lower(output).
bool holds_target(std::string_view output, std::string_view target);
/// The first piece of `output` between ASCII white space is `target`, both in lower case and without ASCII punctuation at their ends.
bool begins_with_target(std::string_view output, std::string_view target);

/// Scores passages, one or more; `path` names their file in messages.   progress: a line while it works.
///   Nothing when a signal that is caught (core/signals.h) asked for a stop.
///   Throws UsageError for a context of fewer than ten tokens (tost), FileError for a word that passes the context, Error `non-finite`.
std::optional<LambadaScore> score_lambada(const LanguageModel& model, const Tokenizer& tokenizer, std::span<const TextItem> passages,
                                          const std::string& path, LambadaProtocol protocol, bool progress = false);

}  // namespace aot
