// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/packed_model.h"

#include <algorithm>
#include <map>
#include <string>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>

#include "aot/io/error.h"

namespace aot {
namespace {

/// Parameters by name; undefined where the model has none.
class Named {
 public:
  explicit Named(const LanguageModel& model) {
    for (const Parameter& parameter : model.parameters()) values_[parameter.name] = parameter.value.detach();
  }
  [[nodiscard]] at::Tensor operator[](const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? at::Tensor() : found->second;
  }

 private:
  std::map<std::string, at::Tensor> values_;
};

at::Tensor as_float(const at::Tensor& tensor) {
  return tensor.to(at::kFloat);
}

NormFormula formula_of(NormKind kind) {
  return kind == NormKind::layer ? NormFormula::layer : kind == NormKind::rms ? NormFormula::rms : NormFormula::none;
}

}  // namespace

bool decodes_natively(const LanguageModel& model) {
  const at::Tensor weight = model.parameters().front().value;
  const bool numbers = weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16;
  return weight.is_cpu() && numbers && (model.options().mixer == "mssa" || model.options().mixer == "mhsa");
}

const float* PackedModel::keep(const at::Tensor& values, int64_t padded) {
  if (!values.defined()) return nullptr;
  at::Tensor copy = at::zeros({padded}, at::kFloat);
  copy.narrow(0, 0, values.numel()).copy_(values.flatten());
  return memory_.emplace_back(std::move(copy)).const_data_ptr<float>();
}

PackedMatrix PackedModel::pack(const at::Tensor& w, NumberFormat format) {
  const at::Tensor from = as_float(w);  // (rows, depth), any strides
  const int64_t panels = weight_panels(from.size(0)), numbers = panels * kWeightPanel * from.size(1);
  PackedMatrix to{.format = format, .rows = from.size(0), .depth = from.size(1)};
  to.panels = memory_.emplace_back(at::empty({numbers * bytes_of(format)}, at::kByte)).mutable_data_ptr();
  bytes_ += numbers * bytes_of(format);
  if (format == NumberFormat::int8) {
    to.scales = memory_.emplace_back(at::empty({panels * kWeightPanel}, at::kFloat)).mutable_data_ptr<float>();
    bytes_ += panels * kWeightPanel * bytes_of(NumberFormat::float32);
  }
  const float* data = from.const_data_ptr<float>();
  const int64_t row_stride = from.stride(0), depth_stride = from.stride(1);
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) { pack_weights(data, row_stride, depth_stride, to, begin, end); });
  return to;
}

PackedModel::PackedModel(const LanguageModel& model, NumberFormat format) {
  const LanguageOptions& o = model.options();
  const Named named(model);
  const auto norm = [&](const std::string& name) {
    const at::Tensor weight = named[name + ".weight"], bias = named[name + ".bias"];
    return PackedNorm{formula_of(o.norm), keep(weight, o.width), keep(bias, o.width)};
  };
  const auto linear = [&](const at::Tensor& w, const at::Tensor& bias) {
    PackedLinear packed{.w = pack(w, format)};
    packed.bias = keep(bias, weight_panels(packed.w.rows) * kWeightPanel);
    return packed;
  };
  const auto stepped = [&](const at::Tensor& w, const at::Tensor& bias, const at::Tensor& eta) {
    PackedLinear packed = linear(w, bias);
    packed.step = eta.defined() && eta.numel() == 1 ? as_float(eta).item<float>() : static_cast<float>(o.step_init);
    if (eta.defined() && eta.numel() > 1) packed.steps = keep(eta, weight_panels(packed.w.rows) * kWeightPanel);
    return packed;
  };

  embedding_ = named["embedding"];
  if (o.position == Position::learned) position_ = as_float(named["position"]).contiguous();
  if (o.position == Position::sincos) position_ = sincos_positions(o.context, o.width).to(embedding_.scalar_type()).to(at::kFloat);
  for (int64_t l = 0; l < o.layers; ++l) {
    const std::string layer = str("layers.", l, ".");
    PackedLayer packed;
    packed.norm = norm(layer + "norm");
    packed.project = linear(named[layer + (o.mixer == "mssa" ? "mixer.u" : "mixer.w_qkv")], named[layer + "mixer.b_qkv"]);
    if (o.gate == Gate::silu) packed.gate = linear(named[layer + "mixer.w_gate"], {});
    const at::Tensor out = o.output == Output::tied ? named[layer + "mixer.u"].t() : named[layer + "mixer.w_out"];
    packed.output = stepped(out, named[layer + "mixer.b_out"], named[layer + "step"]);
    if (o.block == BlockKind::mlp) {
      packed.activation = o.activation == Activation::gelu_tanh ? ProductEnd::gelu_tanh : ProductEnd::gelu;
      packed.mlp_norm = norm(layer + "mlp_norm");
      packed.mlp_in = linear(named[layer + "mlp.w_in"], named[layer + "mlp.b_in"]);
      packed.mlp_out = stepped(named[layer + "mlp.w_out"], named[layer + "mlp.b_out"], named[layer + "mlp_step"]);
    }
    layers_.push_back(std::move(packed));
  }
  final_norm_ = norm("final_norm");
  head_ = linear(o.tie_embeddings ? embedding_ : named["head"], {});
}

void PackedModel::embed(int64_t id, int64_t at, float* z) const {
  const int64_t width = embedding_.size(1);
  if (embedding_.scalar_type() == at::kFloat) {
    const float* row = embedding_.const_data_ptr<float>() + id * width;
    std::copy(row, row + width, z);
  } else {
    const c10::BFloat16* row = embedding_.const_data_ptr<c10::BFloat16>() + id * width;
    std::copy(row, row + width, z);
  }
  if (!position_.defined()) return;
  const float* row = position_.const_data_ptr<float>() + at * width;
  for (int64_t i = 0; i < width; ++i) z[i] += row[i];
}

}  // namespace aot
