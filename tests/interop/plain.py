# SPDX-License-Identifier: Apache-2.0
"""Other programs' models, plainly and from their papers' formulas, on dictionaries of tensors under their own names."""
import math

import torch
from torch.nn import functional as F


def gpt2_weights(generator, layers, width, context, vocab, bias, prefix="transformer.", deviation=0.2):
    """Random weights under nanoGPT's names, (out, in); far from zero, so that a wrong place shows. Wide or deep models need a smaller deviation, or
    rounding grows from layer to layer."""
    def normal(*shape, mean=0.0):
        return torch.randn(*shape, generator=generator) * deviation + mean

    weights = {"wte.weight": normal(vocab, width), "wpe.weight": normal(context, width)}
    for layer in range(layers):
        for name, out, inner in [("attn.c_attn", 3 * width, width), ("attn.c_proj", width, width), ("mlp.c_fc", 4 * width, width), ("mlp.c_proj", width, 4 * width)]:
            weights[f"h.{layer}.{name}.weight"] = normal(out, inner)
            if bias:
                weights[f"h.{layer}.{name}.bias"] = normal(out)
        for name in ("ln_1", "ln_2"):
            weights[f"h.{layer}.{name}.weight"] = normal(width, mean=1)
            if bias:
                weights[f"h.{layer}.{name}.bias"] = normal(width)
    weights["ln_f.weight"] = normal(width, mean=1)
    if bias:
        weights["ln_f.bias"] = normal(width)
    return {prefix + name: tensor for name, tensor in weights.items()}


def attention(q, k, v, causal):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
    return scores.softmax(-1) @ v


def gpt2(weights, ids, layers, heads, approximate="none", head=None, prefix="transformer."):
    def linear(x, name):
        return F.linear(x, weights[prefix + name + ".weight"], weights.get(prefix + name + ".bias"))

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[prefix + name + ".weight"], weights.get(prefix + name + ".bias"))

    z = weights[prefix + "wte.weight"][ids] + weights[prefix + "wpe.weight"][: ids.shape[1]]
    for layer in range(layers):
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in linear(norm(z, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn").chunk(3, -1))
        z = z + linear(attention(q, k, v, True).transpose(1, 2).flatten(2), f"h.{layer}.attn.c_proj")
        z = z + linear(F.gelu(linear(norm(z, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc"), approximate=approximate), f"h.{layer}.mlp.c_proj")
    return norm(z, "ln_f") @ (weights[prefix + "wte.weight"] if head is None else head).t()


def tost_weights(generator, layers, width, heads, context, vocab, bias, tssa):
    """tost_lang's: GPT-2's and, in each layer, two gammas; with TSSA one projection, temperatures and biases of the heads."""
    weights = gpt2_weights(generator, layers, width, context, vocab, bias)
    for layer in range(layers):
        block = f"transformer.h.{layer}."
        for gamma in ("gamma1", "gamma2"):
            weights[block + gamma] = torch.randn(width, generator=generator) * 0.2 + 0.5
        if tssa:
            weights[block + "attn.c_attn.weight"] = torch.randn(width, width, generator=generator) * 0.2
            weights[block + "attn.temp"] = torch.randn(heads, 1, generator=generator) * 0.2 + 1
            weights[block + "attn.denom_bias"] = torch.randn(heads, context, 1, generator=generator) * 0.2
            if bias:
                weights[block + "attn.c_attn.bias"] = torch.zeros(width)
    return weights


def token_statistics(w, temperature, bias):
    """Token by token from the paper's sums: w (B, K, T, P)."""
    out = torch.empty_like(w)
    energies, moments, mass = 0, 0, 0
    for t in range(w.shape[2]):
        square = w[:, :, t] ** 2  # (B, K, P)
        energies = energies + square
        membership = ((square / energies.clamp_min(1e-12) + bias[:, t]).sum(-1) * temperature[:, 0]).softmax(1)[..., None]  # (B, K, 1)
        moments, mass = moments + membership * square, mass + membership
        out[:, :, t] = -membership * w[:, :, t] / (1 + moments / (mass + 1e-8))
    return out


def tost(weights, ids, layers, heads, tssa):
    def linear(x, name):
        return F.linear(x, weights[name + ".weight"], weights.get(name + ".bias"))

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights.get(name + ".bias"))

    z = weights["transformer.wte.weight"][ids] + weights["transformer.wpe.weight"][: ids.shape[1]]
    for layer in range(layers):
        block = f"transformer.h.{layer}."
        parts = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in linear(norm(z, block + "ln_1"), block + "attn.c_attn").chunk(1 if tssa else 3, -1)]
        mixed = token_statistics(*parts, weights[block + "attn.temp"], weights[block + "attn.denom_bias"]) if tssa else attention(*parts, True)
        z = z + weights[block + "gamma1"] * linear(mixed.transpose(1, 2).flatten(2), block + "attn.c_proj")
        z = z + weights[block + "gamma2"] * linear(F.gelu(linear(norm(z, block + "ln_2"), block + "mlp.c_fc")), block + "mlp.c_proj")
    return norm(z, "transformer.ln_f") @ weights["transformer.wte.weight"].t()


def lens_weights(generator, layers, width, heads, head_dim, context, vocab):
    def normal(*shape, mean=0.0, deviation=0.2):
        return torch.randn(*shape, generator=generator) * deviation + mean

    weights = {"embed.W_E": normal(vocab, width), "pos_embed.W_pos": normal(context, width), "unembed.W_U": normal(width, vocab), "unembed.b_U": torch.zeros(vocab)}
    for layer in range(layers):
        block = f"blocks.{layer}."
        for which in "QKV":
            weights[block + "attn.W_" + which] = normal(heads, width, head_dim)
            weights[block + "attn.b_" + which] = normal(heads, head_dim)
        weights[block + "attn.W_O"] = normal(heads, head_dim, width)
        weights[block + "attn.b_O"] = normal(width)
        weights[block + "ln1.w"], weights[block + "ln1.b"] = normal(width, mean=1), normal(width)
        weights[block + "attn.mask"], weights[block + "attn.IGNORE"] = torch.ones(context, context).tril().bool(), torch.tensor(-1e5)
    weights["ln_final.w"], weights["ln_final.b"] = normal(width, mean=1), normal(width)
    return weights


def lens(weights, ids, layers):
    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[name + ".w"], weights[name + ".b"])

    z = weights["embed.W_E"][ids] + weights["pos_embed.W_pos"][: ids.shape[1]]
    for layer in range(layers):
        block = f"blocks.{layer}."
        x = norm(z, block + "ln1")
        q, k, v = (torch.einsum("btd,kdp->bktp", x, weights[block + "attn.W_" + which]) + weights[block + "attn.b_" + which][:, None] for which in "QKV")
        z = z + torch.einsum("bktp,kpd->btd", attention(q, k, v, True), weights[block + "attn.W_O"]) + weights[block + "attn.b_O"]
    return norm(z, "ln_final") @ weights["unembed.W_U"]


def crate_weights(generator, layers, width, heads, patch, side, channels, classes):
    def normal(*shape, mean=0.0, deviation=0.2):
        return torch.randn(*shape, generator=generator) * deviation + mean

    numbers = channels * patch * patch
    weights = {"pos_embedding": normal(1, side * side + 1, width), "cls_token": normal(1, 1, width)}

    def norm(name, size):
        weights[name + ".weight"], weights[name + ".bias"] = normal(size, mean=1), normal(size)

    norm("to_patch_embedding.1", numbers)
    weights["to_patch_embedding.2.weight"], weights["to_patch_embedding.2.bias"] = normal(width, numbers), normal(width)
    norm("to_patch_embedding.3", width)
    for layer in range(layers):
        name = f"transformer.layers.{layer}."
        norm(name + "0.norm", width)
        weights[name + "0.fn.qkv.weight"] = normal(width, width)
        weights[name + "0.fn.to_out.0.weight"], weights[name + "0.fn.to_out.0.bias"] = normal(width, width), normal(width)
        norm(name + "1.norm", width)
        weights[name + "1.fn.weight"] = normal(width, width)
    norm("mlp_head.0", width)
    weights["mlp_head.1.weight"], weights["mlp_head.1.bias"] = normal(classes, width), normal(classes)
    return weights
