// SPDX-License-Identifier: Apache-2.0
#include "aot/interop/reference.h"

#include <cmath>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr double kEpsilon = 1e-5;  // of all three

at::Tensor norm(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(z, {z.size(-1)}, weight, bias, kEpsilon);
}

/// softmax(q k^T / sqrt P) v of (B, K, T, P).
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  at::Tensor scores = q.matmul(k.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(-1)));  // (B, K, T, T)
  if (causal) {
    const at::Tensor later = at::ones({q.size(2), q.size(2)}, at::kBool).triu(1);
    scores = scores.masked_fill(later, -std::numeric_limits<double>::infinity());
  }
  return scores.softmax(-1).matmul(v);
}

/// Of w (B, K, T, P), temperatures (K, 1) and biases (K, context, 1).
at::Tensor token_statistics(const at::Tensor& w, const at::Tensor& temperature, const at::Tensor& bias) {
  const at::Tensor square = w * w;
  const at::Tensor share = square / square.cumsum(2).clamp_min(1e-12) + bias.narrow(1, 0, w.size(2));
  const at::Tensor pi = (share.sum(-1) * temperature).softmax(1);  // (B, K, T): over heads
  const at::Tensor moment = (square * pi.unsqueeze(-1)).cumsum(2) / (pi.cumsum(2) + 1e-8).unsqueeze(-1);
  return -w * pi.unsqueeze(-1) / (1 + moment);
}

at::Tensor to_heads(const at::Tensor& x, int64_t heads) {  // (B, T, K P) -> (B, K, T, P)
  return x.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

at::Tensor from_heads(const at::Tensor& x) {  // (B, K, T, P) -> (B, T, K P)
  return x.transpose(1, 2).flatten(2);
}

/// Rows of the embedding, and positions 0 .. T - 1, (B, T, D).
at::Tensor embed(const at::Tensor& embedding, const at::Tensor& position, const at::Tensor& ids) {
  const at::Tensor rows = embedding.index_select(0, ids.flatten()).view({ids.size(0), ids.size(1), -1});
  return rows + position.narrow(0, 0, ids.size(1));
}

}  // namespace

at::Tensor gpt2_logits(const NamedTensors& tensors, const Gpt2Shape& shape, const at::Tensor& ids) {
  const c10::InferenceMode guard;
  const auto bias = [&](const std::string& name) { return shape.bias ? tensors.read(shape.prefix + name + ".bias") : at::Tensor(); };
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    const at::Tensor w = tensors.read(shape.prefix + name + ".weight"), b = bias(name);
    const at::Tensor y = x.matmul(shape.transposed ? w : w.t());
    return b.defined() ? y + b : y;
  };
  const auto normed = [&](const at::Tensor& x, const std::string& name) {
    return norm(x, tensors.read(shape.prefix + name + ".weight"), bias(name));
  };
  at::Tensor z = embed(tensors.read(shape.prefix + "wte.weight"), tensors.read(shape.prefix + "wpe.weight"), ids);
  for (int64_t l = 0; l < shape.layers; ++l) {
    const std::string layer = str("h.", l, "."), attn = layer + "attn.";
    const auto stepped = [&](const at::Tensor& update, const char* gamma) {
      return shape.steps ? update * tensors.read(shape.prefix + layer + gamma) : update;
    };
    const auto parts = linear(normed(z, layer + "ln_1"), attn + "c_attn").chunk(shape.tssa ? 1 : 3, -1);
    const auto head = [&](size_t i) { return to_heads(parts[i].contiguous(), shape.heads); };
    const auto weight = [&](const char* name) { return tensors.read(shape.prefix + attn + name); };
    const at::Tensor heads = shape.tssa ? token_statistics(head(0), weight("temp"), weight("denom_bias"))
                                        : attention(head(0), head(1), head(2), /*causal=*/true);
    z = z + stepped(linear(from_heads(heads), attn + "c_proj"), "gamma1");
    const at::Tensor inner = linear(normed(z, layer + "ln_2"), layer + "mlp.c_fc");
    z = z + stepped(linear(at::gelu(inner, shape.gelu_tanh ? "tanh" : "none"), layer + "mlp.c_proj"), "gamma2");
  }
  return normed(z, "ln_f").matmul(tensors.read(shape.head).t());
}

at::Tensor transformer_lens_logits(const NamedTensors& tensors, int64_t layers, const at::Tensor& ids) {
  const c10::InferenceMode guard;
  const auto normed = [&](const at::Tensor& x, const std::string& name) {
    return tensors.has(name + ".w") ? norm(x, tensors.read(name + ".w"), tensors.read(name + ".b")) : norm(x, {}, {});
  };
  at::Tensor z = embed(tensors.read("embed.W_E"), tensors.read("pos_embed.W_pos"), ids);
  for (int64_t l = 0; l < layers; ++l) {
    const std::string layer = str("blocks.", l, ".");
    const at::Tensor x = normed(z, layer + "ln1");
    const auto head = [&](const char* which) {
      const at::Tensor heads = at::einsum("btd,kdp->bktp", {x, tensors.read(layer + "attn.W_" + which)});
      return heads + tensors.read(layer + "attn.b_" + which).unsqueeze(1);
    };
    const at::Tensor heads = attention(head("Q"), head("K"), head("V"), /*causal=*/true);
    z = z + at::einsum("bktp,kpd->btd", {heads, tensors.read(layer + "attn.W_O")}) + tensors.read(layer + "attn.b_O");
  }
  const at::Tensor logits = normed(z, "ln_final").matmul(tensors.read("unembed.W_U"));
  return tensors.has("unembed.b_U") ? logits + tensors.read("unembed.b_U") : logits;
}

at::Tensor crate_logits(const NamedTensors& tensors, int64_t layers, int64_t heads, int64_t patch, const at::Tensor& images) {
  const c10::InferenceMode guard;
  constexpr double kStep = 0.1, kThreshold = 0.1;
  const auto normed = [&](const at::Tensor& x, const std::string& name) {
    return norm(x, tensors.read(name + ".weight"), tensors.read(name + ".bias"));
  };
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return x.matmul(tensors.read(name + ".weight").t()) + tensors.read(name + ".bias");
  };
  const int64_t batch = images.size(0), channels = images.size(1), rows = images.size(2) / patch, columns = images.size(3) / patch;
  at::Tensor z = images.view({batch, channels, rows, patch, columns, patch})
                     .permute({0, 2, 4, 3, 5, 1})
                     .reshape({batch, rows * columns, patch * patch * channels});
  z = normed(linear(normed(z, "to_patch_embedding.1"), "to_patch_embedding.2"), "to_patch_embedding.3");
  z = at::cat({tensors.read("cls_token").expand({batch, 1, z.size(2)}), z}, 1) + tensors.read("pos_embedding");
  for (int64_t l = 0; l < layers; ++l) {
    const std::string layer = str("transformer.layers.", l, ".");
    const at::Tensor w = to_heads(normed(z, layer + "0.norm").matmul(tensors.read(layer + "0.fn.qkv.weight").t()), heads);
    z = z + linear(from_heads(attention(w, w, w, /*causal=*/false)), layer + "0.fn.to_out.0");
    const at::Tensor y = normed(z, layer + "1.norm"), dictionary = tensors.read(layer + "1.fn.weight");
    const at::Tensor gradient = y.matmul(dictionary) - y.matmul(dictionary.t()).matmul(dictionary);  // D^T y - D^T D y
    z = (y + kStep * gradient - kStep * kThreshold).relu();
  }
  return linear(normed(z.select(1, 0), "mlp_head.0"), "mlp_head.1");
}

}  // namespace aot
