# SPDX-License-Identifier: Apache-2.0
"""Trained models as the C++ library runs them."""
import dataclasses
import os
from typing import Any, Callable, Mapping, Sequence

import torch
from torch import Tensor

from . import _aot
from .tokenizer import Tokenizer, open_tokenizer

__all__ = ["LanguageModel", "RegressionModel", "Sample", "VisionModel", "load"]

# Sees the tensor and the name of its place; returns a tensor of the same shape to go on with, or None to leave it as it is.
Hook = Callable[[Tensor, str], Tensor | None]
Hooks = Mapping[str, Hook]


@dataclasses.dataclass(frozen=True)
class Sample:
    """A text that a model wrote."""

    text: str  # without the prompt
    ids: list[int]  # all tokens drawn, also those of a stop string or of the end of the document
    finish: str  # "length", "stop" or "end"
    seed: int
    logprobs: list[tuple[tuple[int, float], list[tuple[int, float]]]]  # by token (id, logprob), and of the best; empty unless asked for

    def __str__(self) -> str:
        return self.text


class _Model:
    """What models of all tasks have. Places where tensors may be read or replaced are named `embedding` and `layers.N.<place>`; `*` stands
    for any one part of a name. `scores` and `weights` of attention exist only while somebody listens to them."""

    def __init__(self, path: str, model: Any) -> None:
        self.path = path
        self._model = model
        self._places: list[str] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """As in config.json."""
        return self._model.settings

    def parameters(self) -> dict[str, Tensor]:
        """By their names in model.safetensors; changes in place reach the model, and gradients are found here."""
        return self._model.parameters()

    def to(self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32):
        self._model.to(torch.device(device), dtype)
        return self

    def places(self) -> list[str]:
        """Every place of this model, in the order of a forward pass."""
        if self._places is None:
            found: list[str] = []
            with torch.no_grad():
                self._run(self._small_input(), [(pattern, lambda name, _: found.append(name)) for pattern in ("*", "layers.*.*")])
            self._places = found
        return self._places

    def forward(self, inputs: Any, /, *, hooks: Hooks | None = None) -> Tensor:
        """Differentiable, like any function of PyTorch; under torch.no_grad() nothing is kept."""
        return self._run(inputs, self._listeners(hooks or {}))

    def __call__(self, inputs: Any, /, **options: Any) -> Tensor:
        return self.forward(inputs, **options)

    def run_with_cache(
        self, inputs: Any, /, names: str | Sequence[str] = "*", *, hooks: Hooks | None = None, **options: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The result, and the tensors at the places that `names` match, as they were after `hooks`. A lone "*" stands for all places."""
        names = self.places() if names == "*" else [names] if isinstance(names, str) else list(names)
        self._check(names)
        cache: dict[str, Tensor] = {}
        listeners = self._listeners(hooks or {}) + [(name, cache.__setitem__) for name in names]
        return self._run(inputs, listeners, **options), cache

    def _listeners(self, hooks: Hooks) -> list:
        self._check(hooks)
        return [(pattern, lambda name, value, hook=hook: hook(value, name)) for pattern, hook in hooks.items()]

    def _check(self, patterns) -> None:
        for pattern in patterns:
            if not any(_aot.place_matches(pattern, place) for place in self.places()):
                kinds = sorted({place.split(".")[-1] for place in self.places() if "." in place})
                layers = self.settings["layers"]
                raise ValueError(f"no place '{pattern}' in this model: it has embedding, and layers.N.({', '.join(kinds)}) with N below {layers}")

    def _run(self, inputs: Any, listeners: list, **options: Any) -> Tensor:
        raise NotImplementedError

    def _small_input(self) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self.settings[name]!r}" for name in ("mixer", "width", "layers", "heads"))
        return f"{type(self).__name__}({shown}, path={self.path!r})"

    def _device(self) -> torch.device:
        return next(iter(self.parameters().values())).device


class LanguageModel(_Model):
    """ids (B, T) int64 -> logits (B, T, V)."""

    tokenizer: Tokenizer | None = None  # the checkpoint's own, if it has one

    def forward(self, ids: Tensor, /, *, key_mask: Tensor | None = None, causal: bool = True, hooks: Hooks | None = None) -> Tensor:
        """key_mask (B, T) bool: True is a real token."""
        return self._run(ids, self._listeners(hooks or {}), key_mask=key_mask, causal=causal)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats over targets (B, T), -1 ignored; a tensor of all logits never exists."""
        return _aot.language_loss(self._model, ids, targets)

    def generate(
        self,
        prompt: str | bytes = "",
        tokens: int = 200,
        *,
        n: int | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
        logprobs: int = 0,
        dtype: str = "float32",
        tokenizer: Tokenizer | None = None,
        **sampling: bool | int | float,
    ) -> Sample | list[Sample]:
        """Text that continues `prompt`, as `aot generate` writes it: a function of weights, prompt, seed and options alone.

        n: a list of so many samples, of which number i has the seed plus i. stop: texts before which a sample ends. logprobs: how many of
        the most probable tokens to tell at each place. dtype: how weights are stored while decoding, also "bfloat16" and "int8".
        sampling: temperature, top_k, top_p, min_p, repetition_penalty, greedy."""
        tokenizer = tokenizer or self.tokenizer
        if tokenizer is None:
            raise ValueError(f"{self.path} has no tokenizer.json; give tokenizer=aot.open_tokenizer(...)")
        stop = [stop] if isinstance(stop, str) else list(stop)
        rows = _aot.generate(self._model, tokenizer, prompt, 1 if n is None else n, seed, tokens, stop, logprobs, dtype, **sampling)
        samples = [Sample(**row) for row in rows]
        return samples[0] if n is None else samples

    def _run(self, ids, listeners, key_mask=None, causal=True):
        return _aot.run_language(self._model, ids, key_mask, causal, listeners)

    def _small_input(self):
        return torch.zeros(1, 1, dtype=torch.long, device=self._device())


class VisionModel(_Model):
    """Pictures (B, channels, height, width), normalised as in training -> logits (B, classes)."""

    def _run(self, images, listeners):
        return _aot.run_vision(self._model, images, listeners)

    def _small_input(self):
        side = self.settings["image_size"]
        return torch.zeros(1, self.settings["channels"], side, side, device=self._device())


class RegressionModel(_Model):
    """A pair of x (B, n, d) and y (B, n) -> what y_i is, from x_1, y_1, ..., x_i alone: (B, n)."""

    def _run(self, inputs, listeners):
        x, y = inputs
        return _aot.run_regression(self._model, x, y, listeners)

    def _small_input(self):
        return torch.zeros(1, 1, self.settings["dims"], device=self._device()), torch.zeros(1, 1, device=self._device())


def load(path: str | os.PathLike) -> LanguageModel | VisionModel | RegressionModel:
    """The model of a checkpoint folder, or of a run's best checkpoint, else its last: a LanguageModel, VisionModel or RegressionModel.

    Files are checked as by `aot`; what is wrong with them is an OSError."""
    checkpoint = _aot.find_checkpoint(os.fspath(path))
    task = _aot.model_task(checkpoint)
    if task == "vision":
        return VisionModel(checkpoint, _aot.load_vision(checkpoint))
    if task == "icl":
        return RegressionModel(checkpoint, _aot.load_regression(checkpoint))
    model = LanguageModel(checkpoint, _aot.load_language(checkpoint))
    tokenizer = os.path.join(checkpoint, "tokenizer.json")
    if os.path.exists(tokenizer):
        model.tokenizer = open_tokenizer(tokenizer)
    return model
