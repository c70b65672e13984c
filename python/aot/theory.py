# SPDX-License-Identifier: Apache-2.0
"""What the paper measures of tokens, for its own tokens and for any others. Tokens are rows: z (N, D); bases U_k are (D, p_k).

Arguments are tensors or arrays of floating point; everything is computed in float64.
"""
import json
from typing import Any, NamedTuple, Sequence

import torch
from torch import Tensor

from . import _aot
from ._aot import TokenSample

__all__ = [
    "HeadSnr",
    "TokenSample",
    "certify",
    "coding_rate",
    "effective_rank",
    "head_bases",
    "head_overlap",
    "head_snr",
    "incoherence",
    "orthonormality_error",
    "sample_tokens",
    "snr",
]

Option = bool | int | float | str


def sample_tokens(seed: int, **options: Option) -> TokenSample:
    """Tokens of the paper's model (Def. 1): z, the true bases, those that the operator knows, cluster_sizes. Clusters are consecutive rows.

    options: those of `aot theory denoise`, with their defaults: tokens, heads, head_dim, width, delta, ..."""
    return _aot.sample_tokens(seed, **options)


def certify(seed: int, preset: str | None = None, **options: Option) -> dict[str, Any]:
    """Does the theorem hold on this sample? What `aot theory certify --json` prints for one seed; keys in docs/theory.md."""
    return json.loads(_aot.certify_json(seed, preset, **options))


def snr(z: Any, bases: Sequence[Any], cluster_sizes: Sequence[int]) -> list[dict[str, float]]:
    """For each cluster |Z_k U_k|, |Z_k (I - U_k U_k^T)| and their ratio: "signal", "noise", "snr"."""
    return _aot.snr(torch.as_tensor(z), _tensors(bases), list(cluster_sizes))


def coding_rate(z: Any, bases: Sequence[Any] | None = None, eps_squared: float = 0.01) -> float:
    """R(Z) = 1/2 log det(I + D / (N eps^2) Z^T Z) in nats; with bases R^c, the sum of the rates of all tokens' projections Z U_k."""
    return _aot.coding_rate(torch.as_tensor(z), None if bases is None else _tensors(bases), eps_squared)


def effective_rank(z: Any) -> float:
    """exp of the entropy of the singular values' shares."""
    return _aot.effective_rank(torch.as_tensor(z))


def incoherence(bases: Sequence[Any]) -> float:
    """The largest singular value of U_j^T U_k over j != k: 0 for jointly orthonormal bases."""
    return _aot.incoherence(_tensors(bases))


def orthonormality_error(bases: Sequence[Any]) -> float:
    """The largest entry of |U_k^T U_k - I|."""
    return _aot.orthonormality_error(_tensors(bases))


def head_bases(u: Any, heads: int) -> list[Tensor]:
    """Orthonormal bases (D, P) of the heads of a trained `u` (K P, D)."""
    return _aot.head_bases(torch.as_tensor(u), heads)


class HeadSnr(NamedTuple):
    heads: Tensor  # (N,): the head that holds most of each token's energy before the layer
    before: list[dict[str, float]]  # by head, over its tokens, as `snr` tells it
    after: list[dict[str, float]]


def head_snr(before: Any, after: Any, u: Any, heads: int) -> HeadSnr:
    """Signal to noise of a model's tokens (N, D) before and after a layer, by the subspaces of its heads: do they denoise?"""
    return HeadSnr(*_aot.head_snr(torch.as_tensor(before), torch.as_tensor(after), torch.as_tensor(u), heads))


def head_overlap(bases: Sequence[Any]) -> dict[str, float]:
    """Over all pairs of orthonormal bases: "largest" and "mean" cosine, and "median_angle" of all principal angles in degrees."""
    return _aot.head_overlap(_tensors(bases))


def _tensors(bases: Sequence[Any]) -> list[Tensor]:
    return [torch.as_tensor(basis) for basis in bases]
