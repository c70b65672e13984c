# SPDX-License-Identifier: Apache-2.0
"""As much of transformers as the exported Python files use, for machines without it."""
import torch

from . import generation, modeling_outputs  # noqa: F401


class PretrainedConfig:
    def __init__(self, **others):
        for name, value in others.items():
            setattr(self, name, value)


class PreTrainedModel(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config

    def post_init(self):
        pass
