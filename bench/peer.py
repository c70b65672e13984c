#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same attention-only model in plain PyTorch, timed: what `aot bench` is compared with.

  python bench/peer.py attention --peers eager|sdpa         the attention core of one layer, forward and forward + backward
  python bench/peer.py step   --peers eager|sdpa|compile    one training step of the MSSA language model
  python bench/peer.py decode --peers eager|sdpa            one token at batch 1 with a full context, separate key and value caches
  python bench/peer.py head   --peers eager|compile         output head and cross-entropy of --batch x --tokens rows, with gradients and without
  python bench/peer.py adamw  --peers eager                 clip_grad_norm_, fused AdamW and zero_grad on all parameters of the model

`--bidirectional` drops the causal mask of attention and step; with a step, --vocab is then the number of classes of each token.
Prints one JSON object per peer with the keys of `aot bench --json`. Run one peer per process when memory matters (rss_mb is a peak).
Threads are those of OMP_NUM_THREADS. Needs torch only.
"""
import argparse
import json
import math
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def resident_mb():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


BASE_MB = resident_mb()


def attention(q, k, v, how, causal):
    """q (B, K, T, P), k and v (B, K, S, P) -> (B, K, T, P); `causal` needs T = S."""
    if how != "eager":
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if causal:
        future = torch.triu(torch.ones(scores.shape[-2:], dtype=torch.bool), diagonal=1)
        scores = scores.masked_fill(future, -math.inf)
    return scores.softmax(dim=-1) @ v


class Layer(nn.Module):
    """z + W_o heads(norm z), every head with one projection as query, key and value."""

    def __init__(self, o, how):
        super().__init__()
        self.heads, self.how, self.causal = o.heads, how, not o.bidirectional
        self.norm = nn.LayerNorm(o.width, bias=False)
        self.u = nn.Linear(o.width, o.width, bias=False)
        self.out = nn.Linear(o.width, o.width, bias=False)

    def forward(self, z, cache=None):
        w = self.u(self.norm(z)).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, K, T, P)
        if cache is None:
            y = attention(w, w, w, self.how, self.causal)
        else:  # the newest token is the last row of both caches
            keys, values = cache
            keys[:, :, -1:] = w
            values[:, :, -1:] = w
            y = attention(w, keys, values, self.how, causal=False)
        return z + self.out(y.transpose(1, 2).flatten(2))


class Model(nn.Module):
    def __init__(self, o, how):
        super().__init__()
        self.embedding = nn.Embedding(o.vocab, o.width)
        self.position = nn.Embedding(o.tokens, o.width)
        self.layers = nn.ModuleList([Layer(o, how) for _ in range(o.layers)])
        self.norm = nn.LayerNorm(o.width, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, first=0, caches=None):
        z = self.embedding(ids) + self.position.weight[first : first + ids.shape[1]]
        for i, layer in enumerate(self.layers):
            z = layer(z, None if caches is None else caches[i])
        return F.linear(self.norm(z), self.embedding.weight)


class VisionLayer(nn.Module):
    """z + W_o heads(norm z), one projection for all three or free ones, and for ViT an MLP after it; norms with biases."""

    def __init__(self, o, how):
        super().__init__()
        self.heads, self.how, self.shared = o.heads, how, o.mixer == "mssa"
        self.norm = nn.LayerNorm(o.width)
        self.project = nn.Linear(o.width, o.width if self.shared else 3 * o.width, bias=o.bias)
        self.out = nn.Linear(o.width, o.width, bias=o.bias)
        self.mlp = None
        if o.block == "vit":
            self.mlp = nn.Sequential(nn.LayerNorm(o.width), nn.Linear(o.width, 4 * o.width, bias=o.bias), nn.GELU(), nn.Linear(4 * o.width, o.width, bias=o.bias))

    def forward(self, z):
        parts = self.project(self.norm(z)).chunk(1 if self.shared else 3, dim=-1)
        q, *rest = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]  # (B, K, T, P)
        k, v = rest or (q, q)
        z = z + self.out(attention(q, k, v, self.how, causal=False).transpose(1, 2).flatten(2))
        return z if self.mlp is None else z + self.mlp(z)


class VisionModel(nn.Module):
    """Patches, a class token, learnt positions, the layers, the class token's norm and head."""

    def __init__(self, o, how):
        super().__init__()
        self.patch = nn.Conv2d(o.channels, o.width, o.patch, stride=o.patch)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, o.width))
        self.position = nn.Parameter(0.02 * torch.randn((o.image_size // o.patch) ** 2 + 1, o.width))
        self.layers = nn.ModuleList([VisionLayer(o, how) for _ in range(o.layers)])
        self.norm = nn.LayerNorm(o.width)
        self.head = nn.Linear(o.width, o.classes)

    def forward(self, images):
        z = self.patch(images).flatten(2).transpose(1, 2)
        z = torch.cat([self.token.expand(len(z), -1, -1), z], 1) + self.position
        for layer in self.layers:
            z = layer(z)
        return self.head(self.norm(z[:, 0]))


def measure(once, seconds, warm, least, before=lambda: None):
    """`before` goes before each and is not measured."""
    for _ in range(warm):
        before()
        once()
    times, start = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - start < seconds:
        before()
        begin = time.perf_counter()
        once()
        times.append(1e3 * (time.perf_counter() - begin))
    return {"ms": statistics.median(times), "min_ms": min(times), "repeats": len(times)}


def core(o, how):
    """Queries, keys and values are one tensor, in the layout that PyTorch's operator likes."""
    a = torch.randn(o.batch, o.heads, o.tokens, o.width // o.heads, dtype=getattr(torch, o.dtype), requires_grad=True)
    gradient = torch.randn_like(a)

    def forward():
        with torch.no_grad():
            attention(a, a, a, how, not o.bidirectional)

    def both():
        a.grad = None
        attention(a, a, a, how, not o.bidirectional).backward(gradient)

    yield {"what": "attention forward", **measure(forward, o.seconds, warm=2, least=3)}
    yield {"what": "attention forward+backward", **measure(both, o.seconds, warm=2, least=3)}


def step(o, how):
    torch.manual_seed(0)
    model = Model(o, how)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    run = torch.compile(model) if how == "compile" else model
    ids, targets = torch.randint(o.vocab, (2, o.batch, o.tokens))

    def once():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=o.dtype == "bfloat16"):
            loss = F.cross_entropy(run(ids).flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    times = measure(once, o.seconds, warm=2, least=3)
    parameters = sum(p.numel() for p in model.parameters()) - model.position.weight.numel()
    tokens = o.batch * o.tokens
    flop = tokens * (6 * parameters + 6 * o.layers * o.width * o.tokens)
    rates = {"tokens_per_s": 1e3 * tokens / times["ms"], "gflops": flop / times["ms"] / 1e6}
    yield {"what": "training step", "parameters": parameters, **times, **rates}


def head(o, how):
    torch.manual_seed(0)
    dtype = getattr(torch, o.dtype)
    x = torch.randn(o.batch * o.tokens, o.width, dtype=dtype, requires_grad=True)
    weight = (0.05 * torch.randn(o.vocab, o.width)).to(dtype).requires_grad_()
    targets = torch.randint(o.vocab, (o.batch * o.tokens,))
    run = torch.compile(cross_entropy) if how == "compile" else cross_entropy

    def both():
        x.grad = weight.grad = None
        run(x, weight, targets).backward()

    def forward():
        with torch.no_grad():
            run(x, weight, targets)

    yield {"what": "loss and gradients", **measure(both, o.seconds, warm=2, least=3)}
    yield {"what": "loss", **measure(forward, o.seconds, warm=2, least=3)}


def cross_entropy(x, weight, targets):
    return F.cross_entropy(F.linear(x, weight), targets)


def adamw(o, how):
    parameters = list(Model(o, how).parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    gradients = [torch.randn_like(p) for p in parameters]

    def once():
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def before():
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient

    yield {"what": "clip, AdamW, zero", **measure(once, o.seconds, warm=2, least=3, before=before)}


def vision(o, how):
    torch.manual_seed(0)
    model = VisionModel(o, how)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    run = torch.compile(model) if how == "compile" else model
    images, labels = torch.randn(o.batch, o.channels, o.image_size, o.image_size), torch.randint(o.classes, (o.batch,))

    def once():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(run(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    times = measure(once, o.seconds, warm=2, least=3)
    yield {"what": "vision training step", **times, "images_per_s": 1e3 * o.batch / times["ms"]}


@torch.inference_mode()
def decode(o, how):
    torch.manual_seed(0)
    dtype = getattr(torch, o.dtype)
    model = Model(o, how).to(dtype)
    caches = [torch.randn(2, 1, o.heads, o.tokens, o.width // o.heads, dtype=dtype).unbind(0) for _ in range(o.layers)]
    token = torch.zeros(1, 1, dtype=torch.long)

    def once():
        nonlocal token
        token = model(token, o.tokens - 1, caches)[:, -1].argmax(-1, keepdim=True)

    times = measure(once, o.seconds, warm=8, least=256)
    yield {"what": "decode", "context": o.tokens, "dtype": o.dtype, **times, "tokens_per_s": 1e3 / times["ms"]}


WHAT = {"attention": core, "step": step, "vision-step": vision, "decode": decode, "head": head, "adamw": adamw}


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("what", choices=list(WHAT))
    for name, value in {"width": 384, "layers": 6, "heads": 6, "tokens": 256, "vocab": 1000, "batch": 8}.items():
        cli.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"image-size": 28, "patch": 4, "channels": 1, "classes": 10}.items():
        cli.add_argument(f"--{name}", type=int, default=value, help="vision-step")
    cli.add_argument("--mixer", choices=["mssa", "mhsa"], default="mssa", help="vision-step")
    cli.add_argument("--block", choices=["attention-only", "vit"], default="attention-only", help="vision-step")
    cli.add_argument("--bias", action="store_true", help="vision-step: biases in the layers' linear maps")
    cli.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    cli.add_argument("--seconds", type=float, default=3.0)
    cli.add_argument("--peers", default="eager,sdpa,compile", help="comma-separated; only steps and head have compile")
    cli.add_argument("--bidirectional", action="store_true", help="no causal mask")
    o = cli.parse_args()
    for how in o.peers.split(","):
        if how not in ("eager", "sdpa", "compile") or (how == "compile" and o.what not in ("step", "vision-step", "head")):
            continue
        facts = {"threads": torch.get_num_threads(), "torch": torch.__version__, "base_rss_mb": BASE_MB}
        for row in WHAT[o.what](o, how):
            print(json.dumps({"peer": how, **row, **facts, "rss_mb": resident_mb()}), flush=True)


if __name__ == "__main__":
    main()
