// SPDX-License-Identifier: Apache-2.0
#include "aot/models/language.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/models/stack.h"
#include "aot/models/stack_options.h"
#include "aot/ops/cross_entropy.h"
#include "aot/ops/embedding.h"
#include "aot/ops/linear.h"

namespace aot {
namespace {

BlockOptions blocks_of(const LanguageOptions& o) {
  BlockOptions out = sequence_block_options(o, o.context);
  out.activation = o.activation;
  return out;
}

}  // namespace

int64_t LanguageState::bytes() const {
  int64_t total = 0;
  for (const auto& layer : layers) total += layer->bytes();
  return total;
}

void LanguageState::truncate(int64_t tokens) {
  for (const auto& layer : layers) layer->truncate(tokens);
}

void LanguageState::reorder(const at::Tensor& rows) {
  for (const auto& layer : layers) layer->reorder(rows);
}

LanguageModel::LanguageModel(const LanguageOptions& options, uint64_t seed)
    : LanguageModel(options, make_generator(derive_seed(seed, "init"))) {}

LanguageModel LanguageModel::without_storage(const LanguageOptions& options) {
  return {options, at::Generator()};
}

LanguageModel::LanguageModel(const LanguageOptions& options, at::Generator generator) : options_(resolved(options)) {
  const auto& o = options_;
  embedding_ = normal_parameter({o.vocab_size, o.width}, 0.02, generator);
  if (o.position == Position::learned) position_ = normal_parameter({o.context, o.width}, 0.02, generator);
  if (o.position == Position::sincos && generator.defined()) position_ = sincos_positions(o.context, o.width);
  blocks_ = make_blocks(blocks_of(o), generator);
  final_norm_ = Norm(o.norm, o.width, o.bias, generator);
  if (!o.tie_embeddings) head_ = normal_parameter({o.vocab_size, o.width}, 0.02, generator);
}

Parameters LanguageModel::parameters() const {
  Parameters out{{"embedding", embedding_}};
  if (options_.position == Position::learned) out.push_back({"position", position_});
  collect_blocks(blocks_, out);
  final_norm_.collect(out, "final_norm");
  if (head_.defined()) out.push_back({"head", head_});
  return out;
}

void LanguageModel::to(at::Device device, at::ScalarType dtype) {
  move_parameters(parameters(), device, dtype);
  if (options_.position == Position::sincos) position_ = position_.to(device, dtype);
}

at::Tensor LanguageModel::embed(const at::Tensor& ids, int64_t first) const {
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.scalar_type() == at::kLong, "language model: ids must be (B, T) int64, got ", ids.sizes(), " ",
                    ids.scalar_type());
  TORCH_CHECK_VALUE(first + ids.size(1) <= options_.context || !position_.defined(), "language model: ", first + ids.size(1),
                    " tokens exceed the context of ", options_.context);
  const at::Tensor z = embedding_rows(embedding_, ids);  // (B, T, D)
  return position_.defined() ? z + position_.narrow(0, first, ids.size(1)) : z;
}

at::Tensor LanguageModel::hidden(const at::Tensor& ids, const LanguageInput& input) const {
  const MixerInput mixing{.key_mask = input.key_mask, .causal = input.causal, .training = input.training};
  return final_norm_(
      through_blocks(blocks_, embed(ids, 0), mixing,
                     {.dropout = options_.dropout, .dropout_seed = input.dropout_seed, .recompute = input.recompute, .taps = input.taps}));
}

at::Tensor LanguageModel::logits(const at::Tensor& hidden) const {
  return linear_layer(hidden, head());
}

at::Tensor LanguageModel::loss(const at::Tensor& ids, const at::Tensor& targets, const LanguageInput& input) const {
  return linear_cross_entropy(hidden(ids, input).flatten(0, 1), head(), targets.flatten());
}

at::Tensor LanguageModel::token_losses(const at::Tensor& ids, const at::Tensor& targets) const {
  const c10::NoGradGuard no_grad;
  return linear_cross_entropy_per_token(hidden(ids).flatten(0, 1), head(), targets.flatten()).view_as(targets);
}

LanguageState LanguageModel::make_state(int64_t batch, int64_t max_tokens) const {
  LanguageState state;
  state.max_tokens = max_tokens;
  for (const Block& block : blocks_) state.layers.push_back(block.mixer().make_state(batch, max_tokens));
  return state;
}

at::Tensor LanguageModel::through_state(const at::Tensor& ids, LanguageState& state) const {
  at::Tensor z = embed(ids, state.tokens());
  for (size_t l = 0; l < blocks_.size(); ++l) z = blocks_[l].step(z, *state.layers[l]);
  return z;  // (B, n, D), before the final norm
}

at::Tensor LanguageModel::step(const at::Tensor& ids, LanguageState& state) const {
  const c10::InferenceMode guard;
  const at::Tensor z = through_state(ids, state);
  return logits(final_norm_(z.select(1, z.size(1) - 1)));  // (B, V)
}

at::Tensor LanguageModel::token_losses(const at::Tensor& ids, const at::Tensor& targets, LanguageState& state) const {
  const c10::InferenceMode guard;
  const at::Tensor z = final_norm_(through_state(ids, state));
  return linear_cross_entropy_per_token(z.flatten(0, 1), head(), targets.flatten()).view_as(targets);
}

}  // namespace aot
