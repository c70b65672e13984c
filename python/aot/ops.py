# SPDX-License-Identifier: Apache-2.0
"""The operators. B batch, T tokens, D width, K heads, P dimension of a head; the same functions are torch.ops.aot.*.

Subspace attention runs on our kernels: on the CPU, in float32 and bfloat16, for P a multiple of 8 from 16 to 128. Everything else,
CUDA included, takes PyTorch's operators. All are differentiable, know autocast, and are one piece for torch.compile.

`key_mask` (B, T), bool: True is a token that may be read; one that reads none gives 0. `rotary`: base of rotary positions (10000.0 is the
usual one) or None; queries and keys are turned, values are not. `offset`: position of the first token.
"""

import torch
from torch import Tensor

__all__ = ["attention", "mhsa", "mssa", "tssa"]


def attention(a: Tensor, causal: bool = True, key_mask: Tensor | None = None, rotary: float | None = None, offset: int = 0) -> Tensor:
    """softmax(a a^T / sqrt P) a for every head of a (B, K, T, P): F.scaled_dot_product_attention(a, a, a, is_causal=causal).

    `a` may have any strides with contiguous rows, so heads need not be moved together; the result is laid out as (B, T, K, P)."""
    return torch.ops.aot.attention(a, causal, key_mask, rotary, offset)


def mssa(
    z: Tensor,
    u: Tensor,
    w_out: Tensor | None = None,
    causal: bool = True,
    key_mask: Tensor | None = None,
    rotary: float | None = None,
    offset: int = 0,
    heads: int | None = None,
    w_gate: Tensor | None = None,
    b_out: Tensor | None = None,
) -> Tensor:
    """Multi-head subspace self-attention of z (B, T, D): the update, sum_k softmax(A_k A_k^T / sqrt P) A_k R_k with A_k = z U_k.

    u: the bases (K, D, P); or (K P, D) with `heads` = K, as modules and checkpoints hold them: its rows k P to (k + 1) P - 1 are U_k^T.
    w_out (D, K P); without it heads return through U_k^T (tied). w_gate (K P, D): joined heads times silu(z w_gate^T) first."""
    return torch.ops.aot.mssa(z, u, w_out, causal, key_mask, rotary, offset, heads, w_gate, b_out)


def mhsa(
    z: Tensor,
    w_qkv: Tensor,
    w_out: Tensor,
    heads: int,
    causal: bool = True,
    key_mask: Tensor | None = None,
    rotary: float | None = None,
    offset: int = 0,
    b_qkv: Tensor | None = None,
    w_gate: Tensor | None = None,
    b_out: Tensor | None = None,
) -> Tensor:
    """Multi-head self-attention with free queries, keys and values: z (B, T, D), w_qkv (3 K P, D), w_out (D, K P)."""
    return torch.ops.aot.mhsa(z, w_qkv, w_out, heads, causal, key_mask, rotary, offset, b_qkv, w_gate, b_out)


def tssa(w: Tensor, temperature: Tensor, bias: Tensor | None = None, causal: bool = True, key_mask: Tensor | None = None) -> Tensor:
    """Gated heads (B, K, T, P) of token statistics self-attention, linear in T: w (B, K, T, P) = z U_k, temperature (K,), and when causal
    bias (K, context)."""
    return torch.ops.aot.tssa(w, temperature, bias, causal, key_mask)


# What compilers must know of the two operators that run our kernels (python/bindings/operators.cpp): shapes and layouts of the results.


def _laid_out_as_tokens(a: Tensor) -> Tensor:
    batch, heads, tokens, dim = a.shape
    return a.new_empty(batch, tokens, heads, dim).transpose(1, 2)


@torch.library.register_fake("aot::_attention_forward")
def _(a, causal, key_mask, rotary, offset):
    batch, heads, tokens, _ = a.shape
    return _laid_out_as_tokens(a), a.new_empty(batch, heads, 2, tokens, dtype=torch.float32)


@torch.library.register_fake("aot::_attention_backward")
def _(d_out, a, out, statistics, causal, key_mask, rotary, offset):
    return _laid_out_as_tokens(a)
