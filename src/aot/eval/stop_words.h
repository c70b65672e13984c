// SPDX-License-Identifier: Apache-2.0
// Words that end no passage of LAMBADA worth guessing: articles, pronouns, prepositions, conjunctions, auxiliaries.
#pragma once

#include <span>
#include <string_view>

#include <ATen/core/Tensor.h>

#include "aot/data/tokenizer.h"

namespace aot {

/// Our own list, in lower case and alphabetical order.
std::span<const std::string_view> stop_words();

/// Which ids are a space and then a stop word, in any case: (vocab_size,) bool. Ids that the tokenizer does not know are not.
at::Tensor stop_word_ids(const Tokenizer& tokenizer, int64_t vocab_size);

}  // namespace aot
