// SPDX-License-Identifier: Apache-2.0
// What follows the mixer in a block, token by token. A new kind is a class in feed_forward.cpp and a value of BlockKind.
#pragma once

#include <memory>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "aot/core/parameters.h"
#include "aot/models/branch.h"

namespace aot {

enum class BlockKind {
  attention_only,  // nothing                                                        [Wang et al. 2025, Eq. (3) and Fig. 3]
  mlp,             // z + eta W_2 gelu(W_1 norm z), width 4 D                        [Radford et al. 2019; Dosovitskiy et al. 2021]
  ista,            // relu(y + beta (D^T y - D^T D y) - beta lambda), y = norm z     [Yu et al. 2023: CRATE]; no skip around it
};

/// y Phi(y), or its tanh approximation as GPT-2 was trained with.   [Hendrycks and Gimpel 2016, sections 2 and 4]
enum class Activation { gelu, gelu_tanh };

struct FeedForwardOptions {
  int64_t width = 0;
  Activation activation = Activation::gelu;  // of an MLP
  NormKind norm = NormKind::layer;
  bool norm_bias = false;
  bool bias = false;
  StepSize step_size = StepSize::fixed;
  double step_init = 1;
  double dropout = 0;
  int64_t layers = 1;  // depth of the stack: output projections start at N(0, 0.02 / sqrt(2 L))
};

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  /// Names relative to the block: "mlp_norm.weight", "mlp.w_in", ...
  [[nodiscard]] virtual Parameters parameters() const = 0;
  /// z (..., D) -> (..., D), skip included. A generator asks for dropout.
  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& z, const std::optional<at::Generator>& dropout) const = 0;
};

/// Null for BlockKind::attention_only. Weights are drawn from `generator`.
std::unique_ptr<FeedForward> make_feed_forward(BlockKind kind, const FeedForwardOptions& options, at::Generator& generator);

}  // namespace aot
