// SPDX-License-Identifier: Apache-2.0
// A model small enough to be trained within a unit test.
#pragma once

#include "aot/models/language.h"

namespace aot {

constexpr int64_t kTinyVocab = 11;
constexpr int64_t kTinyContext = 16;

inline LanguageOptions tiny_model() {
  LanguageOptions options;
  options.width = 32;
  options.layers = 2;
  options.heads = 2;
  options.context = kTinyContext;
  options.vocab_size = kTinyVocab;
  return options;
}

}  // namespace aot
