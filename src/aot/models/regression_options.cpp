// SPDX-License-Identifier: Apache-2.0
#include "aot/models/regression.h"
#include "aot/models/stack_options.h"

namespace aot {

void describe(Fields& fields, RegressionOptions& options) {
  describe_layers(fields, options, {{"attention-only", BlockKind::attention_only}, {"gpt2", BlockKind::mlp}},
                  "attention alone, or with GPT-2's MLP after it");
  fields.add("dims", options.dims, "d, numbers of an x").min(1).max(kWidest);
  fields.add("max-points", options.max_points, "pairs of x and y in a prompt at most").min(1).max(1 << 19);
  fields.add("position", options.position, {{"learned", Position::learned}, {"sincos", Position::sincos}, {"none", Position::none}},
             "positions added to the tokens");
  fields.add("rotary", options.rotary, "turn queries and keys by position");
  describe_branches(fields, options, "biases in linear maps and layer norms");
  fields.add("init", options.init, {{"normal", Init::normal}, {"fan-in", Init::fan_in}},
             "how matrices of blocks start: N(0, 0.02), as published, or N(0, 1 / sqrt(3 inputs)), for narrow models");
  describe_dropout(fields, options);
}

RegressionOptions resolved(RegressionOptions options) {
  resolve_heads(options);
  check_sequence_positions(options);
  return options;
}

}  // namespace aot
