# SPDX-License-Identifier: Apache-2.0
import dataclasses
import typing


@dataclasses.dataclass
class CausalLMOutput:
    loss: typing.Any = None
    logits: typing.Any = None
