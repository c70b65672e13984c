// SPDX-License-Identifier: Apache-2.0
#include "aot/models/stack.h"

#include <cmath>

#include <c10/core/GradMode.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/models/recompute.h"
#include "aot/ops/dropout.h"

namespace aot {

std::vector<Block> make_blocks(const BlockOptions& options, at::Generator& generator) {
  std::vector<Block> blocks;
  blocks.reserve(static_cast<size_t>(options.mixing.layers));
  for (int64_t l = 0; l < options.mixing.layers; ++l) blocks.emplace_back(options, generator);
  return blocks;
}

void draw_by_fan_in(const std::vector<Block>& blocks, at::Generator& generator) {
  if (!generator.defined()) return;
  const c10::NoGradGuard no_grad;
  for (const Block& block : blocks)
    for (const Parameter& parameter : block.parameters())
      if (parameter.value.dim() == 2 && parameter.name != "ista.dictionary" && parameter.name != "mixer.head_bias")
        parameter.value.normal_(0, 1 / std::sqrt(3.0 * static_cast<double>(parameter.value.size(1))), generator);
}

at::Tensor through_blocks(const std::vector<Block>& blocks, at::Tensor z, MixerInput input, const StackOptions& options) {
  TORCH_CHECK_VALUE(!options.recompute || options.taps == nullptr, "model: recomputed layers have no taps");
  const double rate = input.training ? options.dropout : 0;
  if (rate > 0) input.generator = make_generator(options.dropout_seed);
  z = TapScope{options.taps, ""}("embedding", dropout(z, rate, input.generator));
  for (size_t l = 0; l < blocks.size(); ++l) {
    if (options.taps != nullptr) input.taps = {options.taps, str("layers.", l, ".")};
    z = options.recompute ? recomputed(blocks[l], z, input) : blocks[l].forward(z, input);
  }
  return z;
}

void collect_blocks(const std::vector<Block>& blocks, Parameters& into) {
  for (size_t l = 0; l < blocks.size(); ++l)
    for (Parameter& parameter : blocks[l].parameters()) into.push_back({str("layers.", l, ".", parameter.name), parameter.value});
}

}  // namespace aot
