# SPDX-License-Identifier: Apache-2.0
"""Language models of `aot` for transformers' AutoModelForCausalLM with trust_remote_code=True. There is no cache: every new token costs a
pass over all of them."""
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutput

from .configuration_aot import AotConfig
from .layers_aot import LanguageLayers


class AotForCausalLM(LanguageLayers, PreTrainedModel, GenerationMixin):
    config_class = AotConfig
    base_model_prefix = ""
    _no_split_modules = ["Block"]

    def __init__(self, config):
        super().__init__(config)
        self.add_layers(config)
        self.post_init()

    def _init_weights(self, module):
        """Nothing: the constructor has drawn them."""

    def forward(self, input_ids, attention_mask=None, labels=None, **_):
        """input_ids (B, T); attention_mask (B, T), 1 = real token."""
        logits = self.logits(input_ids, attention_mask)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **_):
        """All tokens again, of more than a context the last ones."""
        last = slice(-self.config.context, None)
        return {"input_ids": input_ids[:, last], "attention_mask": None if attention_mask is None else attention_mask[:, last]}
