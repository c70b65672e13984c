// SPDX-License-Identifier: Apache-2.0
// TransformerLens' attention-only models (attn-only-1l to -4l): names and layouts of HookedTransformer's state_dict.
#include "aot/interop/foreign_model.h"
#include "aot/interop/reference.h"
#include "aot/io/error.h"

namespace aot {
namespace {

at::Tensor transpose(const at::Tensor& w) {
  return w.t();
}
at::Tensor heads_to_rows(const at::Tensor& w) {  // (K, D, P) -> (K P, D)
  return w.transpose(1, 2).flatten(0, 1);
}
at::Tensor heads_from_columns(const at::Tensor& w) {  // (K, P, D) -> (D, K P)
  return w.flatten(0, 1).t();
}
at::Tensor flat(const at::Tensor& b) {
  return b.flatten();
}

}  // namespace

ForeignModel read_transformer_lens(const std::string& path) {
  const std::shared_ptr<const NamedTensors> tensors = open_tensors(path, {"module."});
  if (tensors->has("blocks.0.mlp.W_in"))
    throw FileError(path, "tensor 'blocks.0.mlp.W_in'", "a model with MLPs, need an attention-only one");
  LanguageOptions o;
  o.mixer = "mhsa";
  const auto& embedding = tensors->shape("embed.W_E", 2);
  o.vocab_size = embedding[0];
  o.width = embedding[1];
  o.context = tensors->shape("pos_embed.W_pos", 2)[0];
  const auto& queries = tensors->shape("blocks.0.attn.W_Q", 3);
  o.heads = queries[0];
  o.head_dim = queries[2];
  o.layers = 0;
  while (tensors->has(str("blocks.", o.layers, ".attn.W_Q"))) ++o.layers;
  o.position = Position::learned;
  o.rotary = false;
  o.bias = true;
  o.tie_embeddings = false;
  try {
    o = resolved(o);
  } catch (const UsageError& error) {
    throw FileError(path, "", error.problem);
  }
  const int64_t k = o.heads, d = o.width, p = o.head_dim;
  TensorMap map(tensors);
  const auto norm = [&](const std::string& ours, const std::string& theirs) {
    for (const auto& [name, from, value] : {std::tuple(".weight", ".w", 1.0), std::tuple(".bias", ".b", 0.0)})
      tensors->has(theirs + ".w") ? map.add(ours + name, {{theirs + from, {d}}}) : map.add_constant(ours + name, {d}, value);
  };
  map.add("embedding", {{"embed.W_E", {o.vocab_size, d}}});
  map.add("position", {{"pos_embed.W_pos", {o.context, d}}});
  for (int64_t l = 0; l < o.layers; ++l) {
    const std::string ours = str("layers.", l, "."), block = str("blocks.", l, "."), theirs = block + "attn.";
    norm(ours + "norm", block + "ln1");
    std::vector<Piece> weights, biases;
    for (const char* which : {"Q", "K", "V"}) {
      weights.push_back({theirs + "W_" + which, {k, d, p}, heads_to_rows});
      biases.push_back({theirs + "b_" + which, {k, p}, flat});
    }
    map.add(ours + "mixer.w_qkv", std::move(weights));
    map.add(ours + "mixer.b_qkv", std::move(biases));
    map.add(ours + "mixer.w_out", {{theirs + "W_O", {k, p, d}, heads_from_columns}});
    map.add(ours + "mixer.b_out", {{theirs + "b_O", {d}}});
    map.ignore(theirs + "mask");
    map.ignore(theirs + "IGNORE");
  }
  norm("final_norm", "ln_final");
  map.add("head", {{"unembed.W_U", {d, o.vocab_size}, transpose}});
  // Our head has no bias: models as trained have zeros here; folding norms into weights makes others.
  map.ignore_zeros("unembed.b_U", "a bias of the head, which no model here has", "save the state_dict as trained, with fold_ln=False");

  ForeignModel model;
  model.tensors = map.finish(LanguageModel::without_storage(o).parameters());
  model.options = o;
  model.logits = [tensors, layers = o.layers](const at::Tensor& ids) { return transformer_lens_logits(*tensors, layers, ids); };
  return model;
}

}  // namespace aot
