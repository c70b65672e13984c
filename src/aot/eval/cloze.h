// SPDX-License-Identifier: Apache-2.0
// The Children's Book Test: which of ten words stands in the place of the blank [Hill et al. 2016], under the protocols of docs/eval.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aot/data/benchmark_files.h"
#include "aot/data/tokenizer.h"
#include "aot/eval/windows.h"
#include "aot/models/language.h"

namespace aot {

enum class ClozeProtocol {
  tost,        // the whole text, behind a separator
  gpt2_paper,  // the option and the rest of the query, given all before it
};

/// What one question gave.
struct ClozeAnswer {
  int64_t line = 0;
  size_t right = 0, chosen = 0;  // options by number
  std::vector<double> scores;    // of every option: sum of log p from the first token on which the ten texts differ, in nats
  bool cut = false;              // the longest text passed the context
};

struct ClozeScore {
  MeanScore accuracy;
  int64_t count = 0, cut = 0;        // questions; those that lost their start
  std::vector<ClozeAnswer> answers;  // in the order of the questions
};

/// The tokens of a question with each of its options in place.
std::vector<std::vector<int32_t>> cloze_texts(const ClozeQuestion& question, ClozeProtocol protocol, const Tokenizer& tokenizer,
                                              const std::string& path);

/// Scores questions, one or more; `path` names their file in messages.   progress: a line while it works.
///   Nothing when a signal that is caught (core/signals.h) asked for a stop.
///   Throws FileError when the context holds less than what options differ by, Error `non-finite`.
std::optional<ClozeScore> score_cloze(const LanguageModel& model, const Tokenizer& tokenizer, std::span<const ClozeQuestion> questions,
                                      const std::string& path, ClozeProtocol protocol, bool progress = false);

}  // namespace aot
