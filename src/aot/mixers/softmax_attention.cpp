// SPDX-License-Identifier: Apache-2.0
#include "aot/mixers/softmax_attention.h"

#include <cmath>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/TensorOperators.h>

#include "aot/io/error.h"
#include "aot/ops/attention.h"
#include "aot/ops/dropout.h"
#include "aot/ops/mhsa.h"
#include "aot/ops/mssa.h"

namespace aot {
namespace {

/// One cache (B, K, max_tokens, P) for subspace attention, where the rows are keys and values at once, two for free ones.
class AttentionState : public DecodeState {
 public:
  AttentionState(at::IntArrayRef shape, const at::TensorOptions& options, bool two) : keys(at::empty(shape, options)) {
    if (two) values = at::empty(shape, options);
  }

  [[nodiscard]] int64_t tokens() const override { return held; }
  [[nodiscard]] int64_t bytes() const override {
    return static_cast<int64_t>(keys.nbytes()) + (values.defined() ? static_cast<int64_t>(values.nbytes()) : 0);
  }
  void truncate(int64_t count) override {
    TORCH_CHECK_VALUE(count >= 0 && count <= held, "decode state: cannot be cut to ", count, " tokens, it holds ", held);
    held = count;
  }
  void reorder(const at::Tensor& rows) override {
    keys = keys.index_select(0, rows);
    if (values.defined()) values = values.index_select(0, rows);
  }
  void append(const at::Tensor& key, const at::Tensor& value) {  // (B, K, n, P)
    const int64_t count = key.size(2);
    TORCH_CHECK_VALUE(key.size(0) == keys.size(0), "decode state: made for a batch of ", keys.size(0), ", got ", key.size(0));
    TORCH_CHECK_VALUE(held + count <= keys.size(2), "decode state: made for ", keys.size(2), " tokens, got ", held + count);
    keys.narrow(2, held, count).copy_(key);
    if (values.defined()) values.narrow(2, held, count).copy_(value);
    held += count;
  }
  [[nodiscard]] const at::Tensor& value_cache() const { return values.defined() ? values : keys; }

  at::Tensor keys, values;
  int64_t held = 0;
};

class SoftmaxAttention : public Mixer {
 public:
  SoftmaxAttention(Projection projection, const MixerOptions& options, at::Generator& generator)
      : projection_(projection), options_(options) {
    const int64_t inner = options.heads * options.head_dim;
    const double deviation = 0.02, output_deviation = 0.02 / std::sqrt(2.0 * static_cast<double>(options.layers));
    capabilities_ = {.causal = true,
                     .bidirectional = true,
                     .key_mask = true,
                     .mask = true,
                     .decode = true,
                     .truncate = true,
                     .any_length = !(options.rotary && picture()),
                     .operator_matrix = true,
                     .permutation = true,
                     .rotary = true,
                     .tied_output = shared(),
                     .gate = true,
                     .equation = shared() ? "sum_k softmax(A_k A_k^T / sqrt P) A_k R_k,  A_k = x U_k,  R_k = U_k^T or free"
                                          : "sum_k softmax(Q_k K_k^T / sqrt P) V_k W_k,  Q_k, K_k, V_k = x W_q, x W_k, x W_v",
                     .cost = shared() ? "O(B K T^2 P) time; decoding holds K P numbers a token: one cache is key and value"
                                      : "O(B K T^2 P) time; decoding holds 2 K P numbers a token"};
    refuse(options.output == Output::tied && !shared(), name(), "tied output: it has no subspaces to return through");
    if (options.rotary && options.head_dim % 2 != 0)
      throw UsageError(str("rotary positions need an even head dimension (found ", options.head_dim, ")"));
    if (options.rotary && picture() && options.head_dim % 4 != 0)
      throw UsageError(str("rotary positions of pictures need a head dimension that 4 divides (found ", options.head_dim, ")"));

    projection_weight_ = normal_parameter({(shared() ? 1 : 3) * inner, options.width}, deviation, generator);
    if (options.bias && !shared()) projection_bias_ = constant_parameter({3 * inner}, 0, generator);
    if (options.gate == Gate::silu) output_.w_gate = normal_parameter({inner, options.width}, deviation, generator);
    if (options.output == Output::untied)
      output_.w_out = normal_parameter({options.width, inner}, output_deviation, generator);
    else
      output_.u = projection_weight_;
    if (options.bias) output_.b_out = constant_parameter({options.width}, 0, generator);
    if (options.rotary && generator.defined()) {
      rotary_ =
          picture() ? RotaryTable(options.grid, options.head_dim) : RotaryTable(std::max<int64_t>(options.context, 1), options.head_dim);
    }
  }

  [[nodiscard]] const Capabilities& capabilities() const override { return capabilities_; }

  [[nodiscard]] Parameters parameters() const override {
    Parameters out;
    const auto add = [&out](const char* parameter, const at::Tensor& value) {
      if (value.defined()) out.push_back({parameter, value});
    };
    add(shared() ? "u" : "w_qkv", projection_weight_);
    add("b_qkv", projection_bias_);
    add("w_gate", output_.w_gate);
    add("w_out", output_.w_out);
    add("b_out", output_.b_out);
    return out;
  }

  [[nodiscard]] at::Tensor forward(const MixerInput& input) const override {
    check_input(capabilities_, name(), input);
    RotaryTable longer;
    const RotaryTable* rotary = positions(input.x.size(1), longer);
    const AttentionOptions attention{.causal = input.causal, .key_mask = input.key_mask, .mask = input.mask};
    const at::Tensor update = shared() ? mssa(input.x, projection_weight_, output_,
                                              {.heads = options_.heads, .attention = attention, .rotary = rotary, .taps = input.taps})
                                       : mhsa(input.x, projection_weight_, projection_bias_, output_,
                                              {.heads = options_.heads, .attention = attention, .rotary = rotary, .taps = input.taps});
    return dropout(update, input.training ? options_.dropout : 0, input.generator);
  }

  [[nodiscard]] std::unique_ptr<DecodeState> make_state(int64_t batch, int64_t max_tokens) const override {
    return std::make_unique<AttentionState>(at::IntArrayRef{batch, options_.heads, max_tokens, options_.head_dim},
                                            projection_weight_.options().requires_grad(false), !shared());
  }

  [[nodiscard]] at::Tensor step(const at::Tensor& x, DecodeState& state) const override {
    auto& cache = dynamic_cast<AttentionState&>(state);
    const int64_t first = cache.held;
    RotaryTable longer;
    const RotaryTable* rotary = positions(first + x.size(1), longer);
    // Subspace caches hold unturned rows, which are values too; free keys are cached turned.
    QueriesKeysValues heads;
    if (shared()) {
      heads.q = heads.k = heads.v = mssa_projections(x, projection_weight_, options_.heads);
    } else {
      heads = mhsa_projections(x, projection_weight_, projection_bias_, options_.heads);
      if (rotary != nullptr) {
        heads.q = rotate(heads.q, *rotary, first);
        heads.k = rotate(heads.k, *rotary, first);
      }
    }
    cache.append(heads.k, heads.v);
    const double scale = 1 / std::sqrt(static_cast<double>(options_.head_dim));
    const RotaryTable* unturned = shared() ? rotary : nullptr;
    return heads_to_update(join_heads(attend_chunk(heads.q, cache, first, scale, unturned)), x, output_);
  }

  [[nodiscard]] at::Tensor operator_matrix(const MixerInput& input) const override {
    at::Tensor weights;
    Taps taps;
    taps.listen("weights", [&weights](const std::string&, const at::Tensor& value) { return weights = value; });
    MixerInput listened = input;
    listened.training = false;
    listened.taps = {&taps, ""};
    static_cast<void>(forward(listened));
    return weights;
  }

  [[nodiscard]] int64_t forward_flop(int64_t batch, int64_t tokens, bool causal) const override {
    const int64_t inner = options_.heads * options_.head_dim;
    const int64_t matrices = (shared() ? 1 : 3) + 1 + (options_.gate == Gate::silu ? 1 : 0);
    const int64_t pairs = causal ? tokens * (tokens + 1) / 2 : tokens * tokens;
    return batch * (2 * matrices * tokens * options_.width * inner + 4 * pairs * inner);
  }

  [[nodiscard]] int64_t state_bytes(int64_t batch, int64_t tokens, int64_t bytes_per_number) const override {
    return (shared() ? 1 : 2) * batch * tokens * options_.heads * options_.head_dim * bytes_per_number;
  }

 private:
  [[nodiscard]] bool shared() const { return projection_ == Projection::subspace; }
  [[nodiscard]] bool picture() const { return options_.grid.tokens() > 0; }
  [[nodiscard]] const char* name() const { return shared() ? "mssa" : "mhsa"; }

  /// The table of positions 0 .. tokens - 1, null without rotary positions. `longer` keeps one for inputs past the context.
  const RotaryTable* positions(int64_t tokens, RotaryTable& longer) const {
    if (!options_.rotary) return nullptr;
    TORCH_CHECK_VALUE(!picture() || tokens == rotary_.tokens(), name(), ": its rotary positions are those of ", rotary_.tokens(),
                      " tokens, got ", tokens);
    if (tokens <= rotary_.tokens()) return &rotary_;
    longer = RotaryTable(tokens, options_.head_dim);
    return &longer;
  }

  /// New queries q (B, K, n, P) at positions first .. first + n - 1 over all cached rows, causal.
  static at::Tensor attend_chunk(const at::Tensor& q, const AttentionState& cache, int64_t first, double scale,
                                 const RotaryTable* unturned) {
    at::Tensor query = q, keys = cache.keys.narrow(2, 0, cache.held);
    const at::Tensor values = cache.value_cache().narrow(2, 0, cache.held);
    if (unturned != nullptr) {
      query = rotate(q, *unturned, first);
      keys = rotate(keys, *unturned);
    }
    if (first == 0) return at::scaled_dot_product_attention(query, keys, values, {}, 0.0, /*is_causal=*/true, scale);
    const auto index = at::TensorOptions(at::kLong).device(q.device());
    const at::Tensor query_position = at::arange(first, cache.held, index).unsqueeze(1), key_position = at::arange(cache.held, index);
    return at::scaled_dot_product_attention(query, keys, values, key_position.le(query_position), 0.0, false, scale);
  }

  Projection projection_;
  MixerOptions options_;
  Capabilities capabilities_;
  at::Tensor projection_weight_;  // u (K P, D) or w_qkv (3 K P, D)
  at::Tensor projection_bias_;    // (3 K P,) or undefined
  HeadOutput output_;
  RotaryTable rotary_;
};

}  // namespace

MixerPtr make_softmax_attention(Projection projection, const MixerOptions& options, at::Generator& generator) {
  return std::make_unique<SoftmaxAttention>(projection, options, generator);
}

}  // namespace aot
