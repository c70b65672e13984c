# SPDX-License-Identifier: Apache-2.0
"""Text <-> token ids."""
import os

from ._aot import Tokenizer
from ._aot import open_tokenizer as _open

__all__ = ["Tokenizer", "open_tokenizer"]


def open_tokenizer(name: str | os.PathLike) -> Tokenizer:
    """`byte`, `gpt2:FOLDER`, `tiktoken:FILE:PATTERN`, a tokenizer.json, or a folder with one or with GPT-2's files."""
    return _open(os.fspath(name))
