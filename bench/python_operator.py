#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package beside PyTorch, in one process and in turns:

  python bench/python_operator.py [--seconds 3] [--batch 8] [--json]

  operator   aot.ops.attention(a) and F.scaled_dot_product_attention(a, a, a), causal, forward + backward, at T = 256 and 1024
  model      a training step of a small transformer with PyTorch's attention, and with aot.nn.MSSA in its place
  compile    the latter eager and under torch.compile

`ratio` is PyTorch's median over ours, for `compile` eager's over compiled. `aot bench attention` shows what the kernels reach without
Python; --command build/release/aot runs it in between and adds `of_command`, this ratio over its. Threads are those of OMP_NUM_THREADS.
"""
import argparse
import json
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional as F

import aot.nn


TURN = 0.06  # seconds; single calls in turns would find caches filled by the other way, as no program does


def in_turns(ways, seconds):
    """Median milliseconds of a call of each way, which take turns of several calls, as those of `aot bench` do."""
    for way in ways:
        for _ in range(3):
            way()
    times = [[] for _ in ways]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for way, spent in zip(ways, times):
            turn = time.perf_counter()
            while time.perf_counter() < turn + TURN:
                start = time.perf_counter()
                way()
                spent.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(spent) for spent in times]


def attention_pass(function, a, gradient):
    def run():
        leaf = a.detach().requires_grad_()
        torch.autograd.grad(function(leaf), leaf, gradient)

    return run


def operator_rows(o):
    for tokens in (256, 1024):
        batch = max(1, o.batch * 256 // tokens)
        a, gradient = (torch.randn(batch, tokens, o.heads * o.head_dim).unflatten(-1, (o.heads, -1)).transpose(1, 2) for _ in range(2))
        a *= o.head_dim**-0.25
        ours = attention_pass(aot.ops.attention, a, gradient)
        theirs = attention_pass(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), a.contiguous(), gradient.contiguous())
        our_ms, their_ms = in_turns([ours, theirs], o.seconds)
        row = {"what": "operator", "tokens": tokens, "batch": batch, "ms": our_ms, "torch_ms": their_ms, "ratio": their_ms / our_ms}
        if o.command:
            shape = ["--batch", batch, "--heads", o.heads, "--tokens", tokens, "--head-dim", o.head_dim, "--seconds", o.seconds]
            out = subprocess.run([o.command, "bench", "attention", *map(str, shape), "--json"], capture_output=True, text=True, check=True).stdout
            both = next(row for row in map(json.loads, out.splitlines()) if row["what"] == "attention forward+backward")
            row |= {"command_ratio": both["libtorch_ms"] / both["ms"], "of_command": row["ratio"] / (both["libtorch_ms"] / both["ms"])}
        yield row


class Attention(nn.Module):
    """As models have it: one product for queries, keys and values, PyTorch's fused operator, the way back."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)

    def forward(self, z):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(z).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm, self.attention, self.mlp_norm = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, z):
        z = z + self.attention(self.norm(z))
        return z + self.mlp(self.mlp_norm(z))


class Model(nn.Module):
    def __init__(self, width, heads, blocks):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))

    def forward(self, z):
        for block in self.blocks:
            z = block(z)
        return z


def step(model, z):
    def run():
        for parameter in model.parameters():
            parameter.grad = None
        model(z).square().mean().backward()

    return run


def model_rows(o):
    width = o.heads * o.head_dim
    for tokens in (256, 1024):
        z = torch.randn(max(1, o.batch * 256 // tokens), tokens, width)
        before, after = Model(width, o.heads, 3), Model(width, o.heads, 3)
        for block in after.blocks:
            block.attention = aot.nn.MSSA(width, o.heads)
        our_ms, their_ms = in_turns([step(after, z), step(before, z)], o.seconds)
        yield {"what": "model", "tokens": tokens, "batch": len(z), "ms": our_ms, "torch_ms": their_ms, "ratio": their_ms / our_ms}
        compiled_ms, eager_ms = in_turns([step(torch.compile(after, fullgraph=True), z), step(after, z)], o.seconds)
        yield {"what": "compile", "tokens": tokens, "batch": len(z), "ms": compiled_ms, "eager_ms": eager_ms, "ratio": eager_ms / compiled_ms}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="time to measure each row for")
    parser.add_argument("--batch", type=int, default=8, help="sequences at T = 256; a quarter of them at 1024")
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--command", help="the aot command, to compare with its own bench")
    parser.add_argument("--json", action="store_true", help="one object a line")
    o = parser.parse_args()
    torch.manual_seed(1)
    for rows in (operator_rows, model_rows):
        for row in rows(o):
            row |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
            shown = "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items())
            print(json.dumps(row) if o.json else shown, flush=True)


if __name__ == "__main__":
    main()
