// SPDX-License-Identifier: Apache-2.0
// Loss, perplexity and bits per byte of a language model on tokens, under a named protocol (docs/eval.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aot/data/tokenizer.h"
#include "aot/eval/token_source.h"
#include "aot/models/language.h"

namespace aot {

struct TextScore {
  std::string protocol;  // "windows": disjoint ones of a context each; "strided": overlapping, only the new part scored
  double loss = 0;       // nats per scored token
  std::optional<double> standard_error;
  double perplexity = 0;
  std::optional<double> bits_per_byte;  // over the bytes of the scored tokens; absent without a tokenizer
  int64_t tokens = 0, windows = 0, bytes = 0;
};

/// Scores all of `source`.   stride 0: the context.   tokenizer: for bits per byte, may be null.   progress: a line while it works.
///   Nothing when a signal that is caught (core/signals.h) asked for a stop.
///   Throws UsageError for a stride outside 1..context, Error `need at least` for fewer than two tokens, Error `non-finite` for such a
///   loss.
std::optional<TextScore> score_text(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer, int64_t stride = 0,
                                    bool progress = false);

}  // namespace aot
