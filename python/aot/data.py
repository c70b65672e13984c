# SPDX-License-Identifier: Apache-2.0
"""What models learn from, as NumPy arrays: folders made by `aot data prepare` and `aot data make`, and prompts drawn on the fly."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _aot
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["Images", "ImageDataset", "TextDataset", "Tokens", "draw_prompts", "open_images", "open_text"]


class Tokens:
    """One split of a text. `tokens[i]` is a number, `tokens[i:j]` an array, read when it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, index: int | slice) -> int | ndarray:
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step > 0:
                return self._file.read(first, max(0, last - first)).numpy()[::step]
            return self._file.read(last + 1, max(0, first - last)).numpy()[::-1][::-step]
        first = index + len(self) if index < 0 else index
        return int(self._file.read(first, 1)[0])

    def windows(self, batch: int, length: int, *, seed: int, step: int) -> ndarray:
        """(batch, length): those that step `step` of a training run with that seed reads. Inputs and targets are [:, :-1] and [:, 1:]."""
        return self._file.windows(seed, step, batch, length).numpy()


class TextDataset:
    """Splits `train` and `val` (None when there is none), `tokenizer` (None when there is none), `vocab_size`."""

    def __init__(self, data: Any) -> None:
        self.path: str = data.path
        self.vocab_size: int = data.vocab_size
        self.tokenizer: Tokenizer | None = data.tokenizer
        self.train = Tokens(data.train)
        self.val: Tokens | None = None if data.val is None else Tokens(data.val)


def open_text(path: str | os.PathLike, tokenizer: str = "", vocab_size: int = 0) -> TextDataset:
    """A prepared folder, nanoGPT's, or a .bin; one without meta.json needs a tokenizer, or a vocabulary size. Ids are checked when read."""
    return TextDataset(_aot.open_text_dataset(os.fspath(path), os.fspath(tokenizer), vocab_size))


class Images:
    """One split of images. `images[i]` is (height, width, channels) of uint8; `labels` (n,)."""

    def __init__(self, split: Any) -> None:
        self._split = split
        self.labels: ndarray = split.labels().numpy()
        self.has_masks: bool = split.has_masks

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> ndarray:
        return self._split.image(index + len(self) if index < 0 else index).numpy()

    def mask(self, index: int) -> ndarray:
        """(height, width) of uint8: 1 where the object is."""
        return self._split.mask(index + len(self) if index < 0 else index).numpy()


class ImageDataset:
    """Splits `train` and `val` (None when there is none), names of `classes`, `mean` and `std` by channel of values in [0, 1]."""

    def __init__(self, data: Any) -> None:
        self.path: str = data.path
        self.classes: list[str] = data.classes
        self.mean: list[float] = data.mean
        self.std: list[float] = data.std
        self.train = Images(data.train)
        self.val: Images | None = None if data.val is None else Images(data.val)


def open_images(path: str | os.PathLike) -> ImageDataset:
    """A folder made by `aot data prepare --images` or `aot data make`."""
    return ImageDataset(_aot.open_image_dataset(os.fspath(path)))


def draw_prompts(
    count: int, *, points: int, dims: int, seed: int, first: int = 0, **problem: str | int | float
) -> tuple[ndarray, ndarray]:
    """Prompts first, first + 1, ... of linear functions to learn in context: x (count, points, dims), y (count, points).

    problem: "linear" or "sparse-linear", with `sparsity`; `noise`. A prompt is a function of its number, the seed and these alone."""
    x, y = _aot.draw_prompts(count, points, dims, seed, first, **problem)
    return x.numpy(), y.numpy()
