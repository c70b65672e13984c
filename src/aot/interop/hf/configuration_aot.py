# SPDX-License-Identifier: Apache-2.0
"""The settings of a language model of `aot`: those of its config.json, under the same names."""
from transformers import PretrainedConfig


class AotConfig(PretrainedConfig):
    model_type = "aot-language"
    attribute_map = {"hidden_size": "width", "num_hidden_layers": "layers", "num_attention_heads": "heads", "max_position_embeddings": "context"}

    def __init__(
        self,
        mixer="mssa",  # mssa, mhsa, tssa
        block="attention-only",  # or gpt2: an MLP follows
        activation="gelu",  # of the MLP; gelu-tanh: its tanh approximation
        width=256,
        layers=6,
        heads=8,
        head_dim=32,
        context=64,
        vocab_size=256,
        position="none",  # learned, sincos, none: added to the embedding
        rotary=True,
        output="untied",  # tied: heads return through U^T
        gate="none",  # silu
        norm="layer",  # rms, none
        bias=False,
        step_size="fixed",  # scalar, channel: learnt
        step_init=1.0,
        tie_embeddings=True,
        dropout=0.0,
        **others,
    ):
        for name, value in locals().copy().items():
            if name not in ("self", "others", "__class__"):
                setattr(self, name, value)
        # A tied head reads the embedding itself, so there is nothing for transformers to tie.
        others["tie_word_embeddings"] = False
        others.setdefault("use_cache", False)
        super().__init__(**others)
