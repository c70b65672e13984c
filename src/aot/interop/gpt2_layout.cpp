// SPDX-License-Identifier: Apache-2.0
#include "aot/interop/gpt2_layout.h"

#include <map>
#include <utility>

#include <ATen/ops/zeros.h>

#include "aot/io/error.h"

namespace aot {
namespace {

at::Tensor transpose(const at::Tensor& w) {
  return w.t();
}

struct Names {
  const char *ours, *theirs;  // of a layer's linear map or norm: weight and bias
  int64_t outputs, inputs;    // in widths; a norm has no inputs
};
constexpr Names kNorms[] = {{"norm", "ln_1", 1, 0}, {"mlp_norm", "ln_2", 1, 0}};
constexpr Names kLinear[] = {{"mixer.w_qkv", "attn.c_attn", 3, 1},
                             {"mixer.w_out", "attn.c_proj", 1, 1},
                             {"mlp.w_in", "mlp.c_fc", 4, 1},
                             {"mlp.w_out", "mlp.c_proj", 1, 4}};

/// The token statistics of one layer. `ours` and `theirs` start the names of its tensors.
void add_token_statistics(TensorMap& map, const LanguageOptions& o, const std::string& ours, const std::string& theirs) {
  map.add(ours + "mixer.u", {{theirs + "attn.c_attn.weight", {o.width, o.width}}});
  map.add(ours + "mixer.temperature", {{theirs + "attn.temp", {o.heads, 1}}});
  map.add(ours + "mixer.head_bias", {{theirs + "attn.denom_bias", {o.heads, o.context, 1}}});
  map.ignore_zeros(theirs + "attn.c_attn.bias", "a bias of the projection, which no tssa here has",
                   "models trained with bias = False, as the published ones are, have none");
}

/// "mixer.w_qkv" -> "mixer.b_qkv"
std::string bias_name(std::string weight) {
  weight[weight.rfind('w')] = 'b';
  return weight;
}

}  // namespace

ForeignModel from_gpt2(std::shared_ptr<const NamedTensors> tensors, Gpt2Shape shape, LanguageOptions options) {
  const std::string p = shape.prefix, embedding = p + "wte.weight";
  const auto& table = tensors->shape(embedding, 2);
  options.mixer = shape.tssa ? "tssa" : "mhsa";
  options.block = BlockKind::mlp;
  options.step_size = shape.steps ? StepSize::channel : StepSize::fixed;
  options.activation = shape.gelu_tanh ? Activation::gelu_tanh : Activation::gelu;
  options.vocab_size = table[0];
  options.width = table[1];
  options.context = tensors->shape(p + "wpe.weight", 2)[0];
  options.layers = 0;
  while (tensors->has(p + str("h.", options.layers, ".ln_1.weight"))) ++options.layers;
  if (options.layers == 0) throw FileError(tensors->path(), "tensor '" + p + "h.0.ln_1.weight'", "missing tensor");
  options.head_dim = 0;
  options.position = Position::learned;
  options.rotary = false;
  options.bias = shape.bias = tensors->has(p + "ln_f.bias");
  options.tie_embeddings = shape.head == embedding;
  try {
    options = resolved(options);
  } catch (const UsageError& error) {
    throw FileError(tensors->path(), "", error.problem);
  }
  shape.layers = options.layers;
  shape.heads = options.heads;

  const int64_t d = options.width;
  TensorMap map(tensors);
  const auto norm = [&](const std::string& ours, const std::string& theirs) {
    map.add(ours + ".weight", {{theirs + ".weight", {d}}});
    if (options.bias) map.add(ours + ".bias", {{theirs + ".bias", {d}}});
  };
  map.add("embedding", {{embedding, {options.vocab_size, d}}});
  map.add("position", {{p + "wpe.weight", {options.context, d}}});
  for (int64_t l = 0; l < options.layers; ++l) {
    const std::string ours = str("layers.", l, "."), theirs = p + str("h.", l, ".");
    for (const Names& names : kNorms) norm(ours + names.ours, theirs + names.theirs);
    if (shape.tssa) add_token_statistics(map, options, ours, theirs);
    if (shape.steps) {
      map.add(ours + "step", {{theirs + "gamma1", {d}}});
      map.add(ours + "mlp_step", {{theirs + "gamma2", {d}}});
    }
    for (const Names& names : kLinear) {
      if (shape.tssa && &names == &kLinear[0]) continue;  // has one projection in place of three
      const int64_t out = names.outputs * d, in = names.inputs * d;
      const std::string name = theirs + names.theirs + ".weight";
      map.add(ours + names.ours, {shape.transposed ? Piece{name, {in, out}, transpose} : Piece{name, {out, in}}});
      if (options.bias) map.add(ours + bias_name(names.ours), {{theirs + names.theirs + ".bias", {out}}});
    }
    map.ignore(theirs + "attn.bias");  // the causal mask
    map.ignore(theirs + "attn.masked_bias");
  }
  norm("final_norm", p + "ln_f");
  if (!options.tie_embeddings) map.add("head", {{shape.head, {options.vocab_size, d}}});
  map.ignore("lm_head.weight");

  ForeignModel model;
  model.tensors = map.finish(LanguageModel::without_storage(options).parameters());
  model.options = options;
  model.logits = [tensors, shape](const at::Tensor& ids) { return gpt2_logits(*tensors, shape, ids); };
  return model;
}

void require_gpt2(const LanguageOptions& o, const std::string& format) {
  const std::pair<bool, const char*> needs[] = {{o.block == BlockKind::mlp, "block gpt2"},
                                                {o.mixer == "mhsa", "mixer mhsa"},
                                                {o.heads * o.head_dim == o.width, "heads that make up the width"},
                                                {o.position == Position::learned, "learned positions"},
                                                {!o.rotary, "no rotary positions"},
                                                {o.gate == Gate::none, "no gate"},
                                                {o.norm == NormKind::layer, "layer norms"},
                                                {o.step_size == StepSize::fixed && o.step_init == 1, "a fixed step size of 1"}};
  for (const auto& [holds, what] : needs)
    if (!holds)
      throw UsageError(str("--to ", format, " holds models of GPT-2's kind alone: it needs ", what), "--to hf takes every language model");
}

std::vector<LazyTensor> to_gpt2(const LanguageOptions& options, const std::vector<LazyTensor>& tensors, const std::string& prefix,
                                bool transposed, bool with_bias) {
  std::map<std::string, const LazyTensor*> ours;
  for (const LazyTensor& tensor : tensors) ours[tensor.name] = &tensor;
  std::vector<LazyTensor> out;
  const auto add = [&](const std::string& from, const std::string& to, bool turn = false) {
    LazyTensor tensor = *ours.at(from);
    tensor.name = to;
    if (turn) {
      std::swap(tensor.shape[0], tensor.shape[1]);
      tensor.read = [read = std::move(tensor.read)] { return read().t().contiguous(); };
    }
    out.push_back(std::move(tensor));
  };
  const auto add_bias = [&](const std::string& from, const std::string& to, int64_t size) {
    if (ours.count(from) != 0) return add(from, to);
    if (with_bias) out.push_back({to, {size}, [size] { return at::zeros({size}, at::kFloat); }});
  };
  const int64_t d = options.width;
  add("embedding", prefix + "wte.weight");
  add("position", prefix + "wpe.weight");
  for (int64_t l = 0; l < options.layers; ++l) {
    const std::string from = str("layers.", l, "."), to = prefix + str("h.", l, ".");
    for (const Names& names : kNorms) {
      add(from + names.ours + ".weight", to + names.theirs + ".weight");
      add_bias(from + names.ours + ".bias", to + names.theirs + ".bias", d);
    }
    for (const Names& names : kLinear) {
      add(from + names.ours, to + names.theirs + ".weight", transposed);
      add_bias(from + bias_name(names.ours), to + names.theirs + ".bias", names.outputs * d);
    }
  }
  add("final_norm.weight", prefix + "ln_f.weight");
  add_bias("final_norm.bias", prefix + "ln_f.bias", d);
  if (ours.count("head") != 0) add("head", "lm_head.weight");
  return out;
}

}  // namespace aot
