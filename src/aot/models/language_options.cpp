// SPDX-License-Identifier: Apache-2.0
#include "aot/io/error.h"
#include "aot/models/language.h"
#include "aot/models/stack_options.h"

namespace aot {

void describe(Fields& fields, LanguageOptions& options) {
  describe_layers(fields, options, {{"attention-only", BlockKind::attention_only}, {"gpt2", BlockKind::mlp}},
                  "attention alone, or with GPT-2's MLP after it");
  fields.add("activation", options.activation, {{"gelu", Activation::gelu}, {"gelu-tanh", Activation::gelu_tanh}},
             "of GPT-2's MLP: exact, or the tanh approximation of OpenAI's weights");
  fields.add("context", options.context, "T, most tokens seen at once").min(1).max(1 << 20);
  fields.add("vocab-size", options.vocab_size, "V; 0: the tokenizer's").min(0).max(1 << 24);
  fields.add("position", options.position, {{"learned", Position::learned}, {"sincos", Position::sincos}, {"none", Position::none}},
             "positions added to the embedding");
  fields.add("rotary", options.rotary, "turn queries and keys by position");
  describe_branches(fields, options, "biases in linear maps and layer norms");
  fields.add("tie-embeddings", options.tie_embeddings, "the head is the embedding");
  describe_dropout(fields, options);
}

LanguageOptions resolved(LanguageOptions options) {
  resolve_heads(options);
  if (options.vocab_size < 1) throw UsageError("the vocabulary size is not known", "give --vocab-size");
  check_sequence_positions(options);
  return options;
}

}  // namespace aot
