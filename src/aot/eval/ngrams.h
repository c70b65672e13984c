// SPDX-License-Identifier: Apache-2.0
// What counting alone achieves: the cross-entropy of unigrams and bigrams fitted on the training tokens, for a model to be compared with.
#pragma once

#include <cstdint>

#include "aot/eval/token_source.h"

namespace aot {

struct NgramScore {
  double unigram = 0, bigram = 0;  // nats per scored token
  int64_t tokens = 0;              // scored: all of the validation tokens but the first
  int64_t train_tokens = 0;
  double unigram_discount = 0, bigram_discount = 0;
};

/// Fits on `train`, scores on `validation` the tokens that `score_text` scores too. With D = n1 / (n1 + 2 n2), n_i things counted i times:
///
///   unigram  p(b)     = max(c(b) - D, 0) / c + D types / c / V                               absolute discounting down to the uniform
///   bigram   p(b | a) = max(c(ab) - D, 0) / c(a.) + D followers(a) / c(a.) q(b)               interpolated Kneser-Ney
///            q(b)     = the unigram formula on predecessors(b), the number of different tokens seen before b
///
/// [Kneser & Ney 1995, interpolated as in Chen & Goodman 1998; D from Ney, Essen & Kneser 1994]. Both sum to 1 over all V ids and give none
/// of them 0. D is 1/2 where nothing was counted once or nothing twice.
///   memory: at most 2^25 counters (128 MiB) and a few numbers per token id; large vocabularies take several passes over `train`.
NgramScore score_ngrams(const TokenSource& train, const TokenSource& validation, int64_t vocab_size, bool progress = false);

}  // namespace aot
