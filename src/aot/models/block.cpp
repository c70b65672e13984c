// SPDX-License-Identifier: Apache-2.0
#include "aot/models/block.h"

#include <cmath>

#include <ATen/ops/gelu.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/dropout.h"
#include "aot/ops/linear.h"

namespace aot {

Norm::Norm(NormKind norm_kind, int64_t width, bool with_bias, const at::Generator& generator) : kind(norm_kind) {
  if (kind == NormKind::none) return;
  weight = constant_parameter({width}, 1, generator);
  if (with_bias && kind == NormKind::layer) bias = constant_parameter({width}, 0, generator);
}

NormedTokens Norm::with_skip(const at::Tensor& z) const {
  switch (kind) {
    case NormKind::layer:
      return layer_norm_and_skip(z, weight, bias);
    case NormKind::rms:
      return rms_norm_and_skip(z, weight);
    case NormKind::none:
      break;
  }
  return {z, z};
}

void Norm::collect(Parameters& into, const std::string& prefix) const {
  if (weight.defined()) into.push_back({prefix + ".weight", weight});
  if (bias.defined()) into.push_back({prefix + ".bias", bias});
}

Block::Block(const BlockOptions& options, at::Generator& generator) : options_(options) {
  const MixerOptions& mixing = options.mixing;
  const auto make_eta = [&] {
    if (options.step_size == StepSize::fixed) return at::Tensor();
    return constant_parameter({options.step_size == StepSize::scalar ? 1 : mixing.width}, options.step_init, generator);
  };
  norm_ = Norm(options.norm, mixing.width, mixing.bias, generator);
  mixer_ = make_mixer(options.mixer, mixing, generator);
  eta_ = make_eta();
  if (options.kind == BlockKind::attention_only) return;

  mlp_norm_ = Norm(options.norm, mixing.width, mixing.bias, generator);
  w_in_ = normal_parameter({4 * mixing.width, mixing.width}, 0.02, generator);
  w_out_ = normal_parameter({mixing.width, 4 * mixing.width}, 0.02 / std::sqrt(2.0 * static_cast<double>(mixing.layers)), generator);
  if (mixing.bias) {
    b_in_ = constant_parameter({4 * mixing.width}, 0, generator);
    b_out_ = constant_parameter({mixing.width}, 0, generator);
  }
  mlp_eta_ = make_eta();
}

Parameters Block::parameters() const {
  Parameters out;
  const auto add = [&out](const std::string& name, const at::Tensor& value) {
    if (value.defined()) out.push_back({name, value});
  };
  norm_.collect(out, "norm");
  for (const Parameter& parameter : mixer_->parameters()) add("mixer." + parameter.name, parameter.value);
  add("step", eta_);
  mlp_norm_.collect(out, "mlp_norm");
  add("mlp.w_in", w_in_);
  add("mlp.b_in", b_in_);
  add("mlp.w_out", w_out_);
  add("mlp.b_out", b_out_);
  add("mlp_step", mlp_eta_);
  return out;
}

at::Tensor Block::scaled(const at::Tensor& update, const at::Tensor& eta) const {
  if (eta.defined()) return update * eta;
  return options_.step_init == 1 ? update : update * options_.step_init;
}

at::Tensor Block::mlp(const at::Tensor& x) const {
  return linear_layer(at::gelu(linear_layer(x, w_in_, b_in_)), w_out_, b_out_);
}

at::Tensor Block::forward(const at::Tensor& z, MixerInput input) const {
  const TapScope taps = input.taps;
  const NormedTokens tokens = norm_.with_skip(z);
  input.x = tokens.x;
  at::Tensor out = tokens.skip + scaled(taps("update", mixer_->forward(input)), eta_);
  if (w_in_.defined()) {
    const double rate = input.training ? options_.mixing.dropout : 0;
    const NormedTokens mixed = mlp_norm_.with_skip(out);
    out = mixed.skip + scaled(dropout(mlp(mixed.x), rate, input.generator), mlp_eta_);
  }
  return taps("residual", out);
}

at::Tensor Block::step(const at::Tensor& z, DecodeState& state) const {
  at::Tensor out = z + scaled(mixer_->step(norm_(z), state), eta_);
  if (w_in_.defined()) out = out + scaled(mlp(mlp_norm_(out)), mlp_eta_);
  return out;
}

}  // namespace aot
