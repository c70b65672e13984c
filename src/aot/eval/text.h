// SPDX-License-Identifier: Apache-2.0
// Loss, perplexity and bits per byte of a language model on tokens, under a named protocol (docs/eval.md).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "aot/data/tokenizer.h"
#include "aot/eval/token_source.h"
#include "aot/eval/windows.h"
#include "aot/models/language.h"

namespace aot {

enum class TextProtocol {
  tost,     // windows of a context at random places
  windows,  // disjoint windows of a context
  strided,  // overlapping ones, of which only the new part is scored
  word,     // disjoint ones; the perplexity is that of a word of the original text
};

struct TextReading {
  TextProtocol protocol = TextProtocol::windows;
  int64_t stride = 0;                                                // of strided; 0: 512, or half of a context below 1024
  int64_t windows = 16'000;                                          // of tost: 1000 batches of 16
  uint64_t seed = 1;                                                 // of tost
  int64_t words = 0;                                                 // of the original text; 0: not known
  std::function<void(const Window& window, double nats)> on_window;  // of every window in order; may be empty
  bool progress = false;                                             // a line while it works
};

struct TextScore {
  std::string protocol;  // "windows" also for a stride of a whole context
  double loss = 0;       // nats per scored token
  std::optional<double> standard_error;
  double perplexity = 0;                // exp of the loss; of word: of the nats per word
  std::optional<double> bits_per_byte;  // over the bytes of the scored tokens; absent without a tokenizer
  std::optional<double> nats_per_word;  // tost: loss times the tokens per word of the text; else all nats over the words
  std::optional<double> word_error;     // the standard error of the loss in the same way
  int64_t tokens = 0, windows = 0, bytes = 0;
  int64_t stride = 0;  // 0: windows at random places
};

/// Scores `source`.   tokenizer: for bits per byte, may be null.
///   Nothing when a signal that is caught (core/signals.h) asked for a stop.
///   Throws UsageError for a stride outside 1..context, Error `need at least` for fewer than two tokens or, of word, no words, Error
///   `non-finite` for such a loss.
std::optional<TextScore> score_text(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer,
                                    const TextReading& reading);

/// The same under `windows`, or under `strided` when `stride` is not 0.
std::optional<TextScore> score_text(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer, int64_t stride = 0,
                                    bool progress = false);

}  // namespace aot
