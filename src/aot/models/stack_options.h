// SPDX-License-Identifier: Apache-2.0
// The settings that models of all tasks have: those of their blocks. For the files that describe a task's options or build its model.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "aot/core/options.h"
#include "aot/io/error.h"
#include "aot/models/block.h"
#include "aot/models/positions.h"

namespace aot {

// The bounds keep every count of parameters, FLOP and bytes far below 2^63; summarize() refuses what memory does not.
constexpr int64_t kWidest = 1 << 18;

/// The first of a model's settings: what a layer is and how large. `blocks` names the kinds that the task offers.
template <class Options>
void describe_layers(Fields& fields, Options& options, std::vector<std::pair<std::string, BlockKind>> blocks, const char* blocks_help) {
  std::vector<std::string> mixers;
  for (const MixerEntry& entry : mixer_catalogue()) mixers.push_back(entry.name);
  fields.heading("Model");
  fields.add("mixer", options.mixer, "token mixer; `aot mixers list` describes them").choices(mixers);
  fields.add("block", options.block, std::move(blocks), blocks_help);
  fields.add("width", options.width, "D, numbers per token").min(1).max(kWidest);
  fields.add("layers", options.layers, "L, blocks").min(1).max(1 << 14);
  fields.add("heads", options.heads, "K, subspaces").min(1).max(kWidest);
  fields.add("head-dim", options.head_dim, "P, dimensions of a subspace; 0: width / heads").min(0).max(kWidest);
}

/// What is inside a block and its steps.
template <class Options>
void describe_branches(Fields& fields, Options& options, const char* bias_help) {
  fields.add("output", options.output, {{"tied", Output::tied}, {"untied", Output::untied}}, "heads return through U^T, or a free matrix");
  fields.add("gate", options.gate, {{"none", Gate::none}, {"silu", Gate::silu}}, "multiply heads by silu(x W_g); ours, not the paper's");
  fields.add("norm", options.norm, {{"layer", NormKind::layer}, {"rms", NormKind::rms}, {"none", NormKind::none}}, "before each branch");
  fields.add("bias", options.bias, bias_help);
  fields.add("step-size", options.step_size, {{"fixed", StepSize::fixed}, {"scalar", StepSize::scalar}, {"channel", StepSize::channel}},
             "eta: a constant, one learnt number a layer, one a channel");
  fields.add("step-init", options.step_init, "eta, or where it starts");
}

template <class Options>
void describe_dropout(Fields& fields, Options& options) {
  fields.add("dropout", options.dropout, "on embedding and updates while training").min(0).max(0.999);
}

/// Fills in `head_dim`; throws UsageError with both numbers when heads do not fit the width.
template <class Options>
void resolve_heads(Options& options) {
  if (options.head_dim == 0) {
    if (options.width % options.heads != 0)
      throw UsageError(str("width ", options.width, " is not divisible by ", options.heads, " heads"), "choose --heads or give --head-dim");
    options.head_dim = options.width / options.heads;
  }
  if (options.heads * options.head_dim > kWidest)
    throw UsageError(str(options.heads, " heads of ", options.head_dim, " are more than ", kWidest, " numbers per token"),
                     "lower --heads or --head-dim");
}

/// Throws UsageError when the positions of a sequence do not fit width or heads. REQUIRES: resolve_heads.
template <class Options>
void check_sequence_positions(const Options& options) {
  if (options.rotary && options.head_dim % 2 != 0)
    throw UsageError(str("rotary positions need an even head dimension (found ", options.head_dim, ")"),
                     "choose --head-dim or --no-rotary");
  if (options.position == Position::sincos && options.width % 2 != 0)
    throw UsageError(str("sincos positions need an even width (found ", options.width, ")"), "choose --width or --position");
}

/// The blocks of a model of tokens that read each other in any way; `context`: how many there are at most.
template <class Options>
BlockOptions block_options(const Options& o, int64_t context) {
  return {.kind = o.block,
          .mixer = o.mixer,
          .mixing = {.width = o.width,
                     .heads = o.heads,
                     .head_dim = o.head_dim,
                     .context = context,
                     .output = o.output,
                     .gate = o.gate,
                     .bias = o.bias,
                     .dropout = o.dropout,
                     .layers = o.layers},
          .norm = o.norm,
          .step_size = o.step_size,
          .step_init = o.step_init};
}

/// Those of a sequence.
template <class Options>
BlockOptions sequence_block_options(const Options& o, int64_t context) {
  BlockOptions out = block_options(o, context);
  out.mixing.rotary = o.rotary;
  out.norm_bias = o.bias;
  return out;
}

}  // namespace aot
