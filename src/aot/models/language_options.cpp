// SPDX-License-Identifier: Apache-2.0
#include "aot/io/error.h"
#include "aot/models/language.h"

namespace aot {

void describe(Fields& fields, LanguageOptions& options) {
  // With these, a layer's FLOP at batch 1 and all parameters stay below 2^63; summarize() refuses what memory does not.
  constexpr double kWidest = 1 << 18;
  std::vector<std::string> mixers;
  for (const MixerEntry& entry : mixer_catalogue()) mixers.push_back(entry.name);

  fields.heading("Model");
  fields.add("mixer", options.mixer, "token mixer; `aot mixers list` describes them").choices(mixers);
  fields.add("block", options.block, {{"attention-only", BlockKind::attention_only}, {"gpt2", BlockKind::mlp}},
             "attention alone, or with GPT-2's MLP after it");
  fields.add("width", options.width, "D, numbers per token").min(1).max(kWidest);
  fields.add("layers", options.layers, "L, blocks").min(1).max(1 << 14);
  fields.add("heads", options.heads, "K, subspaces").min(1).max(kWidest);
  fields.add("head-dim", options.head_dim, "P, dimensions of a subspace; 0: width / heads").min(0).max(kWidest);
  fields.add("context", options.context, "T, most tokens seen at once").min(1).max(1 << 20);
  fields.add("vocab-size", options.vocab_size, "V; 0: the tokenizer's").min(0).max(1 << 24);
  fields.add("position", options.position, {{"learned", Position::learned}, {"sincos", Position::sincos}, {"none", Position::none}},
             "positions added to the embedding");
  fields.add("rotary", options.rotary, "turn queries and keys by position");
  fields.add("output", options.output, {{"tied", Output::tied}, {"untied", Output::untied}}, "heads return through U^T, or a free matrix");
  fields.add("gate", options.gate, {{"none", Gate::none}, {"silu", Gate::silu}}, "multiply heads by silu(x W_g); ours, not the paper's");
  fields.add("norm", options.norm, {{"layer", NormKind::layer}, {"rms", NormKind::rms}, {"none", NormKind::none}}, "before each branch");
  fields.add("bias", options.bias, "biases in linear maps and layer norms");
  fields.add("step-size", options.step_size, {{"fixed", StepSize::fixed}, {"scalar", StepSize::scalar}, {"channel", StepSize::channel}},
             "eta: a constant, one learnt number a layer, one a channel");
  fields.add("step-init", options.step_init, "eta, or where it starts");
  fields.add("tie-embeddings", options.tie_embeddings, "the head is the embedding");
  fields.add("dropout", options.dropout, "on embedding and updates while training").min(0).max(0.999);
}

LanguageOptions resolved(LanguageOptions options) {
  if (options.head_dim == 0) {
    if (options.width % options.heads != 0)
      throw UsageError(str("width ", options.width, " is not divisible by ", options.heads, " heads"), "choose --heads or give --head-dim");
    options.head_dim = options.width / options.heads;
  }
  if (options.heads * options.head_dim > 1 << 18)
    throw UsageError(str(options.heads, " heads of ", options.head_dim, " are more than ", 1 << 18, " numbers per token"),
                     "lower --heads or --head-dim");
  if (options.vocab_size < 1) throw UsageError("the vocabulary size is not known", "give --vocab-size");
  if (options.rotary && options.head_dim % 2 != 0)
    throw UsageError(str("rotary positions need an even head dimension (found ", options.head_dim, ")"),
                     "choose --head-dim or --no-rotary");
  if (options.position == Position::sincos && options.width % 2 != 0)
    throw UsageError(str("sincos positions need an even width (found ", options.width, ")"), "choose --width or --position");
  return options;
}

}  // namespace aot
