// SPDX-License-Identifier: Apache-2.0
// The language model: token embedding, a stack of blocks around one kind of mixer, final norm, head. Assembled from options; presets are
// named sets of them (configs/, docs/models.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/core/parameters.h"
#include "aot/models/block.h"
#include "aot/models/positions.h"

namespace aot {

/// Everything that decides the shape of a language model. The defaults are those of `aot-mssa-tiny`.
struct LanguageOptions {
  std::string mixer = "mssa";
  BlockKind block = BlockKind::attention_only;
  Activation activation = Activation::gelu;  // of the MLP of block gpt2
  int64_t width = 256;
  int64_t layers = 6;
  int64_t heads = 8;
  int64_t head_dim = 0;  // 0: width / heads
  int64_t context = 64;
  int64_t vocab_size = 0;  // 0: from the tokenizer; the paper's presets pad it
  Position position = Position::none;
  bool rotary = true;
  Output output = Output::untied;
  Gate gate = Gate::none;
  NormKind norm = NormKind::layer;
  bool bias = false;
  StepSize step_size = StepSize::fixed;
  double step_init = 1;
  bool tie_embeddings = true;
  double dropout = 0;
};

void describe(Fields& fields, LanguageOptions& options);

/// `options` with `head_dim` filled in; throws UsageError with both numbers when the settings do not fit together.
LanguageOptions resolved(LanguageOptions options);

/// States of all layers of one decoding batch.
struct LanguageState {
  std::vector<std::unique_ptr<DecodeState>> layers;
  int64_t max_tokens = 0;

  [[nodiscard]] int64_t tokens() const { return layers.empty() ? 0 : layers.front()->tokens(); }
  [[nodiscard]] int64_t bytes() const;
  void truncate(int64_t tokens);
  void reorder(const at::Tensor& rows);
};

/// Optional inputs of a forward pass.
struct LanguageInput {
  at::Tensor key_mask;    // (B, T) bool, true = real token; undefined when all are
  bool causal = true;     // false: every token reads all, as in a masked language model
  bool training = false;  // dropout on
  uint64_t dropout_seed = 0;
  bool recompute = false;      // layers keep their input only (models/recompute.h); not with taps
  const Taps* taps = nullptr;  // "embedding" (B, T, D), "layers.N.<place>"
};

class LanguageModel {
 public:
  /// Weights are drawn from `seed`: N(0, 0.02), output projections N(0, 0.02 / sqrt(2 L)), norms 1, biases 0.
  LanguageModel(const LanguageOptions& options, uint64_t seed);
  /// Parameters with shapes but no numbers, to count and describe a model of any size.
  static LanguageModel without_storage(const LanguageOptions& options);

  [[nodiscard]] const LanguageOptions& options() const { return options_; }
  /// All parameters under their names in model.safetensors; a tied head is listed once, as "embedding".
  [[nodiscard]] Parameters parameters() const;
  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  void to(at::Device device, at::ScalarType dtype);

  /// Tokens after the final norm (B, T, D). ids (B, T) int64, T <= context. Differentiable in the parameters.
  [[nodiscard]] at::Tensor hidden(const at::Tensor& ids, const LanguageInput& input = {}) const;
  /// Head of `hidden`: (..., D) -> (..., V).
  [[nodiscard]] at::Tensor logits(const at::Tensor& hidden) const;
  /// Mean cross-entropy in nats over targets (B, T), -1 ignored; never holds more than a chunk of logits.
  [[nodiscard]] at::Tensor loss(const at::Tensor& ids, const at::Tensor& targets, const LanguageInput& input = {}) const;
  /// Cross-entropy of every target (B, T) in nats, 0 where ignored; no gradient.
  [[nodiscard]] at::Tensor token_losses(const at::Tensor& ids, const at::Tensor& targets) const;

  [[nodiscard]] LanguageState make_state(int64_t batch, int64_t max_tokens) const;
  /// Logits (B, V) of the last of n >= 1 new tokens ids (B, n) that follow those in `state`. No gradient.
  [[nodiscard]] at::Tensor step(const at::Tensor& ids, LanguageState& state) const;
  /// Cross-entropy as `token_losses` gives it when ids (B, n), n >= 1, follow the tokens in `state`, to which they are added.
  [[nodiscard]] at::Tensor token_losses(const at::Tensor& ids, const at::Tensor& targets, LanguageState& state) const;

 private:
  LanguageModel(const LanguageOptions& options, at::Generator generator);
  [[nodiscard]] at::Tensor embed(const at::Tensor& ids, int64_t first) const;
  [[nodiscard]] at::Tensor through_state(const at::Tensor& ids, LanguageState& state) const;
  [[nodiscard]] const at::Tensor& head() const { return options_.tie_embeddings ? embedding_ : head_; }

  LanguageOptions options_;
  at::Tensor embedding_;  // (V, D)
  at::Tensor position_;   // (context, D): learned or the fixed table; undefined for none
  std::vector<Block> blocks_;
  Norm final_norm_;
  at::Tensor head_;  // (V, D), undefined when tied
};

}  // namespace aot
