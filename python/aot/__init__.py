# SPDX-License-Identifier: Apache-2.0
"""Attention-only transformers: operators for PyTorch, modules, and the models, tokenizers, data and measures of the C++ library.

  aot.ops       attention, mssa, mhsa, tssa; the same as torch.ops.aot.*
  aot.nn        MSSA, MHSA, TSSA: modules that take the place of attention in a model of your own
  aot.load      a trained model as the C++ library runs it: forward, generate, run_with_cache, hooks
  aot.torch     the same weights as a plain PyTorch module
  aot.data      prepared texts and images, drawn prompts, as NumPy arrays
  aot.theory    what the paper measures of tokens
"""
import torch as _pytorch  # first: it brings LibTorch, and with it the one OpenMP runtime of the process

try:
    from . import _aot
except ImportError as error:
    raise ImportError(
        f"aot: its extension module does not load beside torch {_pytorch.__version__}; it goes with the torch it was built against, "
        f"so install it again, with pip's --force-reinstall (reason: {error})"
    ) from error
if _pytorch.__version__.split("+")[0] != _aot.torch_version:
    raise ImportError(f"aot: built against torch {_aot.torch_version}, found {_pytorch.__version__}; install aot again, with pip's --force-reinstall")

from . import data, nn, ops, theory, torch  # noqa: E402
from .models import LanguageModel, RegressionModel, Sample, VisionModel, load  # noqa: E402
from .tokenizer import Tokenizer, open_tokenizer  # noqa: E402

__version__: str = _aot.version
__all__ = [
    "LanguageModel",
    "RegressionModel",
    "Sample",
    "Tokenizer",
    "VisionModel",
    "data",
    "load",
    "nn",
    "open_tokenizer",
    "ops",
    "theory",
    "torch",
]
