# SPDX-License-Identifier: Apache-2.0
"""Trained models as plain PyTorch modules: no kernels of ours, every formula to be read and changed."""
import os
import types

from torch import Tensor, nn

from . import _aot
from .layers_aot import LanguageLayers

__all__ = ["LanguageModel", "load"]


class LanguageModel(LanguageLayers, nn.Module):
    """ids (B, T) int64 -> logits (B, T, V). Parameters have the names of model.safetensors; `config` has the settings of config.json."""

    def __init__(self, **settings: str | int | float | bool) -> None:
        super().__init__()
        self.config = types.SimpleNamespace(**settings)
        self.add_layers(self.config)

    def forward(self, ids: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """key_mask (B, T) bool: True is a real token. Padded on the left, positions count from the first real token."""
        return self.logits(ids, key_mask)


def load(path: str | os.PathLike) -> LanguageModel:
    """The language model of a checkpoint folder, or of a run's best checkpoint, else its last; in evaluation mode, float32."""
    checkpoint = _aot.find_checkpoint(os.fspath(path))
    model = LanguageModel(**_aot.language_settings(checkpoint))
    _aot.load_weights(checkpoint, [(name, parameter.detach()) for name, parameter in model.named_parameters()])
    return model.eval()
