// SPDX-License-Identifier: Apache-2.0
#include "aot/models/block.h"

#include <ATen/TensorOperators.h>

namespace aot {

Block::Block(const BlockOptions& options, at::Generator& generator) {
  const MixerOptions& mixing = options.mixing;
  norm_ = Norm(options.norm, mixing.width, options.norm_bias, generator);
  mixer_ = make_mixer(options.mixer, mixing, generator);
  eta_ = Step(options.step_size, options.step_init, mixing.width, generator);
  feed_forward_ = make_feed_forward(options.kind,
                                    {.width = mixing.width,
                                     .activation = options.activation,
                                     .norm = options.norm,
                                     .norm_bias = options.norm_bias,
                                     .bias = mixing.bias,
                                     .step_size = options.step_size,
                                     .step_init = options.step_init,
                                     .dropout = mixing.dropout,
                                     .layers = mixing.layers},
                                    generator);
}

Parameters Block::parameters() const {
  Parameters out;
  norm_.collect(out, "norm");
  for (const Parameter& parameter : mixer_->parameters()) out.push_back({"mixer." + parameter.name, parameter.value});
  if (eta_.learnt.defined()) out.push_back({"step", eta_.learnt});
  if (feed_forward_)
    for (Parameter& parameter : feed_forward_->parameters()) out.push_back(std::move(parameter));
  return out;
}

at::Tensor Block::forward(const at::Tensor& z, MixerInput input) const {
  const TapScope taps = input.taps;
  const NormedTokens tokens = norm_.with_skip(z);
  input.x = tokens.x;
  at::Tensor out = tokens.skip + eta_(taps("update", mixer_->forward(input)));
  if (feed_forward_) out = feed_forward_->forward(out, input.training ? input.generator : std::nullopt);
  return taps("residual", out);
}

at::Tensor Block::step(const at::Tensor& z, DecodeState& state) const {
  const at::Tensor out = z + eta_(mixer_->step(norm_(z), state));
  return feed_forward_ ? feed_forward_->forward(out, std::nullopt) : out;
}

}  // namespace aot
