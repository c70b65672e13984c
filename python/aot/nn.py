# SPDX-License-Identifier: Apache-2.0
"""Token mixers as modules: from normalised tokens (B, T, D) to their update (B, T, D). Norm, skip connection and step size stay the model's.

Parameters have the names and layouts of the C++ mixers, so a state_dict fits a checkpoint's `layers.N.mixer.*`.
"""
import math
from typing import Any

import torch
from torch import Tensor, nn

from . import ops

__all__ = ["MHSA", "MSSA", "TSSA"]

ROTARY_BASE = 10000.0


class _Mixer(nn.Module):
    """What all have: heads of `head_dim` numbers, and the way back to the width."""

    def __init__(self, width: int, heads: int, head_dim: int | None, causal: bool, layers: int) -> None:
        super().__init__()
        if head_dim is None and (heads < 1 or width % heads != 0):
            raise ValueError(f"width {width} is no multiple of {heads} heads; give head_dim")
        self.width, self.heads, self.causal, self.layers = width, heads, causal, layers
        self.head_dim: int = width // heads if head_dim is None else head_dim
        self.inner: int = self.heads * self.head_dim

    def reset_parameters(self) -> None:
        """Matrices from N(0, 0.02), the output from N(0, 0.02 / sqrt(2 layers)), as in the C++ models; the rest 0."""
        for name, parameter in self.named_parameters(recurse=False):
            if name == "temperature":
                nn.init.ones_(parameter)
            elif parameter.dim() == 2 and name != "head_bias":
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * self.layers) if name == "w_out" else 0.02)
            else:
                nn.init.zeros_(parameter)

    def extra_repr(self) -> str:
        return f"width={self.width}, heads={self.heads}, head_dim={self.head_dim}, causal={self.causal}"


def _parameter(where: dict[str, Any], *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape, **where))


def _base(rotary: bool | float, head_dim: int) -> float | None:
    base = None if rotary is False else ROTARY_BASE if rotary is True else float(rotary)
    if base is not None and head_dim % 2 != 0:
        raise ValueError(f"rotary positions need an even head dimension, got {head_dim}")
    return base


class MSSA(_Mixer):
    """Multi-head subspace self-attention: one matrix where attention has queries, keys and values.   [Wang et al. 2025, Eq. (3)]

    rotary: True, or a base, for rotary positions. output: "untied", a matrix of its own, or "tied", back through the subspaces.
    gate: "none", or "silu" for heads times silu(z W_g). layers: depth of the model, which only scales the start of the output matrix."""

    u: nn.Parameter  # (K P, D): rows k P to (k + 1) P - 1 are U_k^T

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int | None = None,
        causal: bool = True,
        rotary: bool | float = False,
        output: str = "untied",
        gate: str = "none",
        bias: bool = False,
        layers: int = 1,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(width, heads, head_dim, causal, layers)
        if output not in ("tied", "untied") or gate not in ("none", "silu"):
            raise ValueError(f"output must be 'tied' or 'untied' and gate 'none' or 'silu', got {output!r} and {gate!r}")
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.rotary: float | None = _base(rotary, self.head_dim)
        self.u = _parameter(where, self.inner, width)
        self.w_gate = _parameter(where, self.inner, width) if gate == "silu" else None
        self.w_out = _parameter(where, width, self.inner) if output == "untied" else None
        self.b_out = _parameter(where, width) if bias else None
        self.reset_parameters()

    def forward(self, z: Tensor, key_mask: Tensor | None = None, offset: int = 0) -> Tensor:
        return ops.mssa(z, self.u, self.w_out, self.causal, key_mask, self.rotary, offset, self.heads, self.w_gate, self.b_out)


class MHSA(_Mixer):
    """Multi-head self-attention with free queries, keys and values, beside which MSSA is to be seen."""

    w_qkv: nn.Parameter  # (3 K P, D): rows of W_q, then W_k, then W_v
    w_out: nn.Parameter  # (D, K P)

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int | None = None,
        causal: bool = True,
        rotary: bool | float = False,
        gate: str = "none",
        bias: bool = False,
        layers: int = 1,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(width, heads, head_dim, causal, layers)
        if gate not in ("none", "silu"):
            raise ValueError(f"gate must be 'none' or 'silu', got {gate!r}")
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.rotary: float | None = _base(rotary, self.head_dim)
        self.w_qkv = _parameter(where, 3 * self.inner, width)
        self.b_qkv = _parameter(where, 3 * self.inner) if bias else None
        self.w_gate = _parameter(where, self.inner, width) if gate == "silu" else None
        self.w_out = _parameter(where, width, self.inner)
        self.b_out = _parameter(where, width) if bias else None
        self.reset_parameters()

    def forward(self, z: Tensor, key_mask: Tensor | None = None, offset: int = 0) -> Tensor:
        return ops.mhsa(z, self.w_qkv, self.w_out, self.heads, self.causal, key_mask, self.rotary, offset, self.b_qkv, self.w_gate, self.b_out)


class TSSA(_Mixer):
    """Token statistics self-attention, in time linear in T.   [Wu et al. 2025]   `context`: most tokens of a causal input."""

    u: nn.Parameter  # (K P, D)
    w_out: nn.Parameter  # (D, K P)

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int | None = None,
        causal: bool = True,
        context: int = 0,
        bias: bool = False,
        layers: int = 1,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(width, heads, head_dim, causal, layers)
        if causal and context < 1:
            raise ValueError(f"a causal TSSA needs a context of at least 1, got {context}")
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.u = _parameter(where, self.inner, width)
        self.temperature = _parameter(where, heads)
        self.head_bias = _parameter(where, heads, context) if causal else None
        self.w_out = _parameter(where, width, self.inner)
        self.b_out = _parameter(where, width) if bias else None
        self.reset_parameters()

    def forward(self, z: Tensor, key_mask: Tensor | None = None) -> Tensor:
        w = nn.functional.linear(z, self.u).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)  # (B, K, T, P)
        heads = ops.tssa(w, self.temperature, self.head_bias, self.causal, key_mask)
        return nn.functional.linear(heads.transpose(1, 2).flatten(2), self.w_out, self.b_out)
