// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/tssa.h"

#include <cmath>

#include <ATen/ops/zeros.h>

#include "aot/io/error.h"
#include "aot/mixers/mixer.h"
#include "aot/ops/dropout.h"
#include "aot/ops/heads.h"
#include "aot/ops/linear.h"

namespace aot {
namespace {

/// Three sums per head and row; they cannot be taken back token by token.
class TssaDecodeState : public DecodeState {
 public:
  TssaDecodeState(int64_t batch, int64_t heads, int64_t head_dim, const at::TensorOptions& options) {
    sums.square = at::zeros({batch, heads, head_dim}, options);
    sums.weighted_square = at::zeros({batch, heads, head_dim}, options);
    sums.weight = at::zeros({batch, heads}, options);
  }

  [[nodiscard]] int64_t tokens() const override { return held; }
  [[nodiscard]] int64_t bytes() const override {
    return static_cast<int64_t>(sums.square.nbytes() + sums.weighted_square.nbytes() + sums.weight.nbytes());
  }
  void truncate(int64_t count) override {
    if (count == held) return;
    TORCH_CHECK_VALUE(count == 0, "tssa: its state of ", held, " tokens cannot be cut back to ", count, "; start again from 0");
    for (at::Tensor* sum : {&sums.square, &sums.weighted_square, &sums.weight}) sum->zero_();
    held = 0;
  }
  void reorder(const at::Tensor& rows) override {
    for (at::Tensor* sum : {&sums.square, &sums.weighted_square, &sums.weight}) *sum = sum->index_select(0, rows);
  }

  TssaState sums;
  int64_t held = 0;
};

class Tssa : public Mixer {
 public:
  Tssa(const MixerOptions& options, at::Generator& generator) : options_(options) {
    capabilities_ = {.causal = options.causal,
                     .bidirectional = !options.causal,
                     .key_mask = true,
                     .mask = false,
                     .decode = options.causal,
                     .truncate = false,
                     .any_length = !options.causal,
                     .operator_matrix = false,
                     .permutation = !options.causal,
                     .rotary = false,
                     .tied_output = false,
                     .gate = false,
                     .equation =
                         "y = -(w Pi) / (1 + m) W_o,  w = x U_k,  Pi = softmax over heads of the tokens' share of energy,  m = Pi-weighted "
                         "second moment",
                     .cost = "O(B T K P) time; decoding holds 2 K P + K numbers, whatever the length"};
    refuse(options.rotary, "tssa", "rotary positions: no query meets a key");
    refuse(options.gate != Gate::none, "tssa", "gate");
    refuse(options.output == Output::tied, "tssa", "tied output");
    if (options.causal && options.context < 1)
      throw UsageError(str("mixer tssa needs a context of at least 1 when causal (found ", options.context, ")"));
    const int64_t inner = options.heads * options.head_dim;
    u_ = normal_parameter({inner, options.width}, 0.02, generator);
    temperature_ = constant_parameter({options.heads}, 1, generator);
    if (options.causal) bias_ = constant_parameter({options.heads, options.context}, 0, generator);
    output_.w_out = normal_parameter({options.width, inner}, 0.02 / std::sqrt(2.0 * static_cast<double>(options.layers)), generator);
    if (options.bias) output_.b_out = constant_parameter({options.width}, 0, generator);
  }

  [[nodiscard]] const Capabilities& capabilities() const override { return capabilities_; }

  [[nodiscard]] Parameters parameters() const override {
    Parameters out{{"u", u_}, {"temperature", temperature_}};
    if (bias_.defined()) out.push_back({"head_bias", bias_});
    out.push_back({"w_out", output_.w_out});
    if (output_.b_out.defined()) out.push_back({"b_out", output_.b_out});
    return out;
  }

  [[nodiscard]] at::Tensor forward(const MixerInput& input) const override {
    check_input(capabilities_, "tssa", input);
    const at::Tensor w = input.taps("projections", split_heads(linear_layer(input.x, u_), options_.heads));
    const at::Tensor heads = input.taps("heads", tssa(w, temperature_, bias_, {.causal = input.causal, .key_mask = input.key_mask}));
    return dropout(heads_to_update(join_heads(heads), input.x, output_), input.training ? options_.dropout : 0, input.generator);
  }

  [[nodiscard]] std::unique_ptr<DecodeState> make_state(int64_t batch, int64_t /*max_tokens*/) const override {
    TORCH_CHECK_VALUE(capabilities_.decode, "tssa: built for bidirectional use, it does not decode");
    return std::make_unique<TssaDecodeState>(batch, options_.heads, options_.head_dim, u_.options().requires_grad(false));
  }

  [[nodiscard]] at::Tensor step(const at::Tensor& x, DecodeState& state) const override {
    auto& held = dynamic_cast<TssaDecodeState&>(state);
    const at::Tensor w = split_heads(linear_layer(x, u_), options_.heads);
    const at::Tensor heads = tssa_step(w, temperature_, bias_, held.held, held.sums);
    held.held += x.size(1);
    return heads_to_update(join_heads(heads), x, output_);
  }

  [[nodiscard]] at::Tensor operator_matrix(const MixerInput& /*input*/) const override {
    TORCH_CHECK_VALUE(false, "tssa mixes by statistics of the tokens and has no (T, T) operator");
    return {};
  }

  [[nodiscard]] int64_t forward_flop(int64_t batch, int64_t tokens, bool /*causal*/) const override {
    return 4 * batch * tokens * options_.width * options_.heads * options_.head_dim;
  }

  [[nodiscard]] int64_t state_bytes(int64_t batch, int64_t /*tokens*/, int64_t bytes_per_number) const override {
    return batch * options_.heads * (2 * options_.head_dim + 1) * bytes_per_number;
  }

 private:
  MixerOptions options_;
  Capabilities capabilities_;
  at::Tensor u_;            // (K P, D)
  at::Tensor temperature_;  // (K,)
  at::Tensor bias_;         // (K, context), causal only
  HeadOutput output_;
};

}  // namespace

MixerPtr make_tssa(const MixerOptions& options, at::Generator& generator) {
  return std::make_unique<Tssa>(options, generator);
}

}  // namespace aot
