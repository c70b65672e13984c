// SPDX-License-Identifier: Apache-2.0
// Checkpoints of CRATE's code: vision models, a state_dict bare or under "state_dict", "module." before names of parallel training.
#include <cmath>

#include "aot/interop/foreign_model.h"
#include "aot/interop/reference.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// Heads of the published models by width: tiny, small, base, large.
constexpr std::pair<int64_t, int64_t> kPublished[] = {{384, 6}, {576, 12}, {768, 12}, {1024, 16}};

int64_t published_heads(int64_t width) {
  for (const auto& [published, heads] : kPublished)
    if (published == width) return heads;
  throw UsageError(str("no published CRATE has the width ", width, ", and its tensors do not tell the number of heads"), "give --heads");
}

int64_t whole_root(int64_t square) {
  const auto root = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(square))));
  return root * root == square ? root : 0;
}

}  // namespace

ForeignModel read_crate(const std::string& path, int64_t heads) {
  const std::shared_ptr<const NamedTensors> tensors = open_tensors(path, {"module."});

  VisionOptions o;
  o.mixer = "mssa";
  o.block = BlockKind::ista;
  o.stem = Stem::normed;
  o.bias = true;
  const auto& patch_map = tensors->shape("to_patch_embedding.2.weight", 2);
  o.width = patch_map[0];
  // The side of a patch is the whole root of its numbers in one channel; colour is tried first.
  o.channels = patch_map[1] % 3 == 0 && whole_root(patch_map[1] / 3) > 0 ? 3 : 1;
  o.patch = whole_root(patch_map[1] / o.channels);
  const int64_t tokens = tensors->shape("pos_embedding", 3)[1], side = whole_root(tokens - 1);
  if (o.patch == 0 || side == 0) throw FileError(path, "tensor 'pos_embedding'", "patches or pictures are not square");
  o.image_size = side * o.patch;
  o.classes = tensors->shape("mlp_head.1.weight", 2)[0];
  o.layers = 0;
  while (tensors->has(str("transformer.layers.", o.layers, ".0.fn.qkv.weight"))) ++o.layers;
  const int64_t inner = tensors->shape("transformer.layers.0.0.fn.qkv.weight", 2)[0];
  o.heads = heads > 0 ? heads : published_heads(o.width);
  if (inner % o.heads != 0) throw UsageError(str("--heads: ", o.heads, " heads do not divide the ", inner, " rows of qkv"));
  o.head_dim = inner / o.heads;
  try {
    o = resolved(o);
  } catch (const UsageError& error) {
    throw FileError(path, "", error.problem);
  }

  const int64_t d = o.width, c = o.channels, s = o.patch, numbers = c * s * s;
  // CRATE's patches stand in the order (row, column, channel), ours in (channel, row, column).
  const auto turned = [c, s](const at::Tensor& x) { return x.view({-1, s, s, c}).permute({0, 3, 1, 2}).reshape(x.sizes()); };
  TensorMap map(tensors);
  const auto norm = [&](const std::string& ours, const std::string& theirs) {
    for (const char* part : {".weight", ".bias"}) map.add(ours + part, {{theirs + part, {d}}});
  };
  for (const char* part : {".weight", ".bias"})
    map.add(str("patch_in_norm", part), {{str("to_patch_embedding.1", part), {numbers}, turned}});
  map.add("patch", {{"to_patch_embedding.2.weight", {d, numbers}, turned}});
  map.add("patch_bias", {{"to_patch_embedding.2.bias", {d}}});
  norm("patch_out_norm", "to_patch_embedding.3");
  map.add("class_token", {{"cls_token", {1, 1, d}}});
  map.add("position", {{"pos_embedding", {1, tokens, d}}});
  for (int64_t l = 0; l < o.layers; ++l) {
    const std::string ours = str("layers.", l, "."), theirs = str("transformer.layers.", l, ".");
    norm(ours + "norm", theirs + "0.norm");
    map.add(ours + "mixer.u", {{theirs + "0.fn.qkv.weight", {inner, d}}});
    map.add(ours + "mixer.w_out", {{theirs + "0.fn.to_out.0.weight", {d, inner}}});
    map.add(ours + "mixer.b_out", {{theirs + "0.fn.to_out.0.bias", {d}}});
    norm(ours + "ista_norm", theirs + "1.norm");
    map.add(ours + "ista.dictionary", {{theirs + "1.fn.weight", {d, d}}});
  }
  norm("final_norm", "mlp_head.0");
  map.add("head", {{"mlp_head.1.weight", {o.classes, d}}});
  map.add("head_bias", {{"mlp_head.1.bias", {o.classes}}});

  ForeignModel model;
  model.tensors = map.finish(VisionModel::without_storage(o).parameters());
  model.options = o;
  model.logits = [tensors, o](const at::Tensor& images) { return crate_logits(*tensors, o.layers, o.heads, o.patch, images); };
  return model;
}

}  // namespace aot
