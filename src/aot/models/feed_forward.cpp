// SPDX-License-Identifier: Apache-2.0
#include "aot/models/feed_forward.h"

#include <cmath>

#include <ATen/ops/gelu.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/dropout.h"
#include "aot/ops/ista.h"
#include "aot/ops/linear.h"

namespace aot {
namespace {

class Mlp : public FeedForward {
 public:
  Mlp(const FeedForwardOptions& o, at::Generator& generator)
      : approximate_(o.activation == Activation::gelu_tanh ? "tanh" : "none"), dropout_(o.dropout) {
    norm_ = Norm(o.norm, o.width, o.norm_bias, generator);
    w_in_ = normal_parameter({4 * o.width, o.width}, 0.02, generator);
    w_out_ = normal_parameter({o.width, 4 * o.width}, 0.02 / std::sqrt(2.0 * static_cast<double>(o.layers)), generator);
    if (o.bias) {
      b_in_ = constant_parameter({4 * o.width}, 0, generator);
      b_out_ = constant_parameter({o.width}, 0, generator);
    }
    eta_ = Step(o.step_size, o.step_init, o.width, generator);
  }

  [[nodiscard]] Parameters parameters() const override {
    Parameters out;
    const auto add = [&out](const char* name, const at::Tensor& value) {
      if (value.defined()) out.push_back({name, value});
    };
    norm_.collect(out, "mlp_norm");
    add("mlp.w_in", w_in_);
    add("mlp.b_in", b_in_);
    add("mlp.w_out", w_out_);
    add("mlp.b_out", b_out_);
    add("mlp_step", eta_.learnt);
    return out;
  }

  [[nodiscard]] at::Tensor forward(const at::Tensor& z, const std::optional<at::Generator>& generator) const override {
    const NormedTokens tokens = norm_.with_skip(z);
    const at::Tensor update = linear_layer(at::gelu(linear_layer(tokens.x, w_in_, b_in_), approximate_), w_out_, b_out_);
    return tokens.skip + eta_(dropout(update, generator ? dropout_ : 0, generator));
  }

 private:
  const char* approximate_;
  double dropout_;
  Norm norm_;
  at::Tensor w_in_, b_in_, w_out_, b_out_;  // (4 D, D), (4 D,), (D, 4 D), (D,)
  Step eta_;
};

class Ista : public FeedForward {
 public:
  Ista(const FeedForwardOptions& o, at::Generator& generator) {
    norm_ = Norm(o.norm, o.width, o.norm_bias, generator);
    // The deviation of the authors' start, which is uniform (Kaiming).
    dictionary_ = normal_parameter({o.width, o.width}, std::sqrt(2.0 / static_cast<double>(o.width)), generator);
  }

  [[nodiscard]] Parameters parameters() const override {
    Parameters out;
    norm_.collect(out, "ista_norm");
    out.push_back({"ista.dictionary", dictionary_});
    return out;
  }

  [[nodiscard]] at::Tensor forward(const at::Tensor& z, const std::optional<at::Generator>& /*dropout*/) const override {
    return ista_step(norm_(z), dictionary_);
  }

 private:
  Norm norm_;
  at::Tensor dictionary_;  // (D, D)
};

}  // namespace

std::unique_ptr<FeedForward> make_feed_forward(BlockKind kind, const FeedForwardOptions& options, at::Generator& generator) {
  switch (kind) {
    case BlockKind::mlp:
      return std::make_unique<Mlp>(options, generator);
    case BlockKind::ista:
      return std::make_unique<Ista>(options, generator);
    case BlockKind::attention_only:
      break;
  }
  return nullptr;
}

}  // namespace aot
