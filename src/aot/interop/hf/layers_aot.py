# SPDX-License-Identifier: Apache-2.0
"""The layers of `aot`'s language models in plain PyTorch; an exported model and the Python package `aot` share this file.

Written to be read beside the paper ("Attention-Only Transformers via Unrolled Subspace Denoising", 2025): no kernels and no cache.
Parameters have the names of model.safetensors. B batch, T tokens, D width, K heads, P head_dim.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

EPSILON = 1e-5  # of every norm


def weight(*shape):
    return nn.Parameter(torch.empty(*shape))


def rotated(x, positions):
    """x (B, K, T, P), its pairs (i, i + P/2) turned by position times 10000^(-2 i / P); positions (B, T)."""
    half = x.shape[-1] // 2
    frequencies = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float64) / half)
    angles = positions[:, None, :, None].to(torch.float64) * frequencies  # (B, 1, T, P/2)
    cos, sin = angles.cos().float(), angles.sin().float()
    a, b = x.float().split(half, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


def sincos_positions(tokens, width, device):
    """(T, D): even columns sin(t w_i), odd ones cos(t w_i), w_i = 10000^(-2 i / D)."""
    frequencies = 10000.0 ** (-2 * torch.arange(width // 2, device=device, dtype=torch.float64) / width)
    angles = torch.arange(tokens, device=device, dtype=torch.float64)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).float()


class Norm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.kind = config.norm
        if self.kind != "none":
            self.weight = nn.Parameter(torch.ones(config.width))
        self.bias = nn.Parameter(torch.zeros(config.width)) if config.bias and self.kind == "layer" else None

    def forward(self, z):
        if self.kind == "layer":
            return F.layer_norm(z, z.shape[-1:], self.weight, self.bias, EPSILON)
        if self.kind == "rms":
            wide = z.float()
            return (wide * (wide.square().mean(-1, keepdim=True) + EPSILON).rsqrt()).to(z.dtype) * self.weight
        return z


class Mixer(nn.Module):
    """What all mixers share: heads to width, by a free matrix or back through U."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        inner = config.heads * config.head_dim
        self.w_gate = weight(inner, config.width) if config.gate == "silu" else None
        self.w_out = weight(config.width, inner) if config.output == "untied" else None
        self.b_out = nn.Parameter(torch.zeros(config.width)) if config.bias else None

    def split(self, x):
        """(B, T, K P) -> (B, K, T, P)"""
        return x.unflatten(-1, (self.config.heads, self.config.head_dim)).transpose(1, 2)

    def update(self, heads, x):
        joined = heads.transpose(1, 2).flatten(2)  # (B, T, K P)
        if self.w_gate is not None:
            joined = joined * F.silu(F.linear(x, self.w_gate))
        return F.linear(joined, self.w_out if self.w_out is not None else self.u.t(), self.b_out)


class SoftmaxAttention(Mixer):
    """mssa: queries, keys and values are one projection A_k = x U_k [Eq. (3)]; mhsa: three free ones."""

    def __init__(self, config):
        super().__init__(config)
        inner = config.heads * config.head_dim
        if config.mixer == "mssa":
            self.u = weight(inner, config.width)
        else:
            self.w_qkv = weight(3 * inner, config.width)
            self.b_qkv = nn.Parameter(torch.zeros(3 * inner)) if config.bias else None

    def forward(self, x, positions, real):
        if self.config.mixer == "mssa":
            q = k = v = self.split(F.linear(x, self.u))
        else:
            q, k, v = (self.split(part) for part in F.linear(x, self.w_qkv, self.b_qkv).chunk(3, dim=-1))
        if self.config.rotary:
            q, k = rotated(q, positions), rotated(k, positions)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.config.head_dim)  # (B, K, T, T)
        tokens = x.shape[1]
        hidden = torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).triu(1)
        if real is not None:
            hidden = hidden | ~real[:, None, None, :]
        weights = scores.float().masked_fill(hidden, -math.inf).softmax(-1)
        weights = weights.masked_fill(hidden.all(-1, keepdim=True), 0).to(v.dtype)  # a token that may read none reads nothing
        return self.update(weights @ v, x)


class TokenStatistics(Mixer):
    """tssa, causal: tokens meet only in second moments of their projections.   [Wu et al. 2025: ToST]"""

    def __init__(self, config):
        super().__init__(config)
        self.u = weight(config.heads * config.head_dim, config.width)
        self.temperature = nn.Parameter(torch.ones(config.heads))
        self.head_bias = nn.Parameter(torch.zeros(config.heads, config.context))

    def forward(self, x, positions, real):
        w = self.split(F.linear(x, self.u))  # (B, K, T, P)
        if real is not None:
            w = w.masked_fill(~real[:, None, :, None], 0)
        square = w.square()
        share = square / square.cumsum(2).clamp_min(1e-12) + self.head_bias[:, : x.shape[1], None]
        pi = (share.sum(-1) * self.temperature[:, None]).softmax(1)  # (B, K, T): over heads
        if real is not None:
            pi = pi * real[:, None, :]
        moment = (square * pi[..., None]).cumsum(2) / (pi.cumsum(2) + 1e-8)[..., None]
        return self.update(-(w * pi[..., None]) / (1 + moment), x)


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        inner = 4 * config.width
        self.approximate = "tanh" if config.activation == "gelu-tanh" else "none"
        self.w_in, self.w_out = weight(inner, config.width), weight(config.width, inner)
        self.b_in = nn.Parameter(torch.zeros(inner)) if config.bias else None
        self.b_out = nn.Parameter(torch.zeros(config.width)) if config.bias else None

    def forward(self, x):
        return F.linear(F.gelu(F.linear(x, self.w_in, self.b_in), approximate=self.approximate), self.w_out, self.b_out)


class Block(nn.Module):
    """z <- z + eta mix(norm z), then the MLP likewise when there is one."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.norm = Norm(config)
        self.mixer = {"mssa": SoftmaxAttention, "mhsa": SoftmaxAttention, "tssa": TokenStatistics}[config.mixer](config)
        self.step = self.make_step()
        has_mlp = config.block == "gpt2"
        self.mlp_norm = Norm(config) if has_mlp else None
        self.mlp = Mlp(config) if has_mlp else None
        self.mlp_step = self.make_step() if has_mlp else None

    def make_step(self):
        size = {"fixed": 0, "scalar": 1, "channel": self.config.width}[self.config.step_size]
        return nn.Parameter(torch.full((size,), float(self.config.step_init))) if size else None

    def stepped(self, update, step):
        return F.dropout(update, self.config.dropout, self.training) * (self.config.step_init if step is None else step)

    def forward(self, z, positions, real):
        z = z + self.stepped(self.mixer(self.norm(z), positions, real), self.step)
        if self.mlp is not None:
            z = z + self.stepped(self.mlp(self.mlp_norm(z)), self.mlp_step)
        return z


class LanguageLayers:
    """Embedding, blocks, final norm and head, for a class that is an nn.Module as well."""

    def add_layers(self, config):
        self.embedding = weight(config.vocab_size, config.width)
        self.position = weight(config.context, config.width) if config.position == "learned" else None
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = Norm(config)
        self.head = None if config.tie_embeddings else weight(config.vocab_size, config.width)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() == 2 and not name.endswith("head_bias"):
                    is_output = name.endswith("w_out")
                    parameter.normal_(0, 0.02 / math.sqrt(2 * config.layers) if is_output else 0.02)

    def logits(self, ids, real=None):
        """ids (B, T), T <= context unless positions are rotary or none; real (B, T), nonzero = real token. Padded on the left, positions
        count from the first real token."""
        batch, tokens = ids.shape
        config = self.config
        if tokens > config.context and (config.position != "none" or config.mixer == "tssa"):
            raise ValueError(f"{tokens} tokens exceed the context of {config.context}")
        positions = torch.arange(tokens, device=ids.device).expand(batch, tokens)
        if real is not None:
            real = None if bool(real.all()) else real.bool()
        if real is not None:
            positions = (real.long().cumsum(1) - 1).clamp_min(0)
        z = F.embedding(ids, self.embedding)
        if config.position == "learned":
            z = z + F.embedding(positions, self.position)
        if config.position == "sincos":
            z = z + sincos_positions(config.context, config.width, z.device).to(z.dtype)[positions]
        z = F.dropout(z, config.dropout, self.training)
        for layer in self.layers:
            z = layer(z, positions, real)
        return F.linear(self.final_norm(z), self.embedding if self.head is None else self.head)
