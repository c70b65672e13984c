// SPDX-License-Identifier: Apache-2.0
// One layer of a model: normalise, mix, step, add. Written once for every mixer and every task (docs/models.md).
#pragma once

#include <memory>
#include <string>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "aot/core/parameters.h"
#include "aot/mixers/mixer.h"
#include "aot/ops/norm.h"

namespace aot {

enum class BlockKind {
  attention_only,  // z + eta mix(norm z)                                   [Wang et al. 2025, Eq. (3) and Fig. 3]
  gpt2,            // the same, then z + eta' W_2 gelu(W_1 norm z), width 4 D  [Radford et al. 2019]
};
enum class NormKind { none, layer, rms };
enum class StepSize { fixed, scalar, channel };  // eta: a constant, one learnt number, one per channel

struct BlockOptions {
  BlockKind kind = BlockKind::attention_only;
  std::string mixer = "mssa";
  MixerOptions mixing;  // width, bias, dropout and depth of the block are those of its mixer
  NormKind norm = NormKind::layer;
  StepSize step_size = StepSize::fixed;
  double step_init = 1;
};

/// A normalisation's parameters: weight and, with bias, bias (D,); none of them for NormKind::none.
struct Norm {
  NormKind kind = NormKind::layer;
  at::Tensor weight, bias;

  Norm() = default;
  Norm(NormKind kind, int64_t width, bool with_bias, const at::Generator& generator);
  [[nodiscard]] at::Tensor operator()(const at::Tensor& z) const { return with_skip(z).x; }
  /// The same, and z for the residual branch beside it.
  [[nodiscard]] NormedTokens with_skip(const at::Tensor& z) const;
  void collect(Parameters& into, const std::string& prefix) const;
};

class Block {
 public:
  /// Weights are drawn from `generator`: N(0, 0.02), output projections N(0, 0.02 / sqrt(2 L)) with L = mixing.layers.
  Block(const BlockOptions& options, at::Generator& generator);

  /// Names relative to the block: "norm.weight", "mixer.u", "step", "mlp.w_in", ...
  [[nodiscard]] Parameters parameters() const;
  [[nodiscard]] const Mixer& mixer() const { return *mixer_; }

  /// z (B, T, D) -> (B, T, D). `input` carries everything but x. Taps: "update" (the mixer's), "residual" (what leaves the block).
  [[nodiscard]] at::Tensor forward(const at::Tensor& z, MixerInput input) const;
  /// The same for n new tokens z (B, n, D) that follow those in `state`.
  [[nodiscard]] at::Tensor step(const at::Tensor& z, DecodeState& state) const;

 private:
  [[nodiscard]] at::Tensor scaled(const at::Tensor& update, const at::Tensor& eta) const;
  [[nodiscard]] at::Tensor mlp(const at::Tensor& x) const;  // of normalised tokens

  BlockOptions options_;
  Norm norm_, mlp_norm_;
  MixerPtr mixer_;
  at::Tensor eta_, mlp_eta_;                // (1,) or (D,); undefined when fixed
  at::Tensor w_in_, b_in_, w_out_, b_out_;  // (4 D, D), (4 D,), (D, 4 D), (D,)
};

}  // namespace aot
