// SPDX-License-Identifier: Apache-2.0
// One layer of a model: normalise, mix, step, add; then what its kind adds. Written once for every mixer and every task (docs/models.md).
#pragma once

#include <memory>
#include <string>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "aot/core/parameters.h"
#include "aot/mixers/mixer.h"
#include "aot/models/branch.h"
#include "aot/models/feed_forward.h"

namespace aot {

struct BlockOptions {
  BlockKind kind = BlockKind::attention_only;
  Activation activation = Activation::gelu;  // of an MLP
  std::string mixer = "mssa";
  MixerOptions mixing;  // width, bias, dropout and depth of the block are those of its mixer
  NormKind norm = NormKind::layer;
  bool norm_bias = false;
  StepSize step_size = StepSize::fixed;
  double step_init = 1;
};

class Block {
 public:
  /// Weights are drawn from `generator`: N(0, 0.02), output projections N(0, 0.02 / sqrt(2 L)) with L = mixing.layers.
  Block(const BlockOptions& options, at::Generator& generator);

  /// Names relative to the block: "norm.weight", "mixer.u", "step", "mlp.w_in", ...
  [[nodiscard]] Parameters parameters() const;
  [[nodiscard]] const Mixer& mixer() const { return *mixer_; }

  /// z (B, T, D) -> (B, T, D): z + eta mix(norm z), then what follows it. `input` carries everything but x. Taps: "update" (the mixer's),
  /// "residual" (what leaves the block).
  [[nodiscard]] at::Tensor forward(const at::Tensor& z, MixerInput input) const;
  /// The same for n new tokens z (B, n, D) that follow those in `state`.
  [[nodiscard]] at::Tensor step(const at::Tensor& z, DecodeState& state) const;

 private:
  Norm norm_;
  MixerPtr mixer_;
  Step eta_;
  std::unique_ptr<FeedForward> feed_forward_;  // null: nothing follows the mixer
};

}  // namespace aot
