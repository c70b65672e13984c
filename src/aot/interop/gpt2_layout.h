// SPDX-License-Identifier: Apache-2.0
// The names and layouts of the GPT-2 family, which nanoGPT and transformers share but for a prefix and a transposition.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "aot/core/tensor_file.h"
#include "aot/interop/foreign_model.h"
#include "aot/interop/reference.h"

namespace aot {

/// Our model from theirs. Numbers of `options` that tensors tell (width, layers, context, vocabulary, tying) are filled in from them.
ForeignModel from_gpt2(std::shared_ptr<const NamedTensors> tensors, Gpt2Shape shape, LanguageOptions options);

/// Throws UsageError, saying what differs, unless a model of these options is one of the GPT-2 family.
void require_gpt2(const LanguageOptions& options, const std::string& format);

/// Our tensors under their names, linear maps transposed when theirs are; biases that a model lacks are zeros when `with_bias`.
std::vector<LazyTensor> to_gpt2(const LanguageOptions& options, const std::vector<LazyTensor>& tensors, const std::string& prefix,
                                bool transposed, bool with_bias);

}  // namespace aot
