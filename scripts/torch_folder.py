# SPDX-License-Identifier: Apache-2.0
"""Prints the folder of this Python's torch when it is 2.11 or newer and has headers; else ends with 1. Does not import torch."""
import importlib.util
import pathlib
import re
import sys

spec = importlib.util.find_spec("torch")
if spec is None or spec.origin is None:
    sys.exit(1)
folder = pathlib.Path(spec.origin).parent
version = re.search(r"__version__ = '(\d+)\.(\d+)", (folder / "version.py").read_text())
if version is None or tuple(map(int, version.groups())) < (2, 11) or not (folder / "include/ATen/ATen.h").is_file():
    sys.exit(1)
print(folder)
