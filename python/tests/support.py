# SPDX-License-Identifier: Apache-2.0
"""What the package's tests share. AOT_PACKAGE is the folder that holds the built package; empty: it was not built here."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

if not os.environ.get("AOT_PACKAGE"):
    print("the Python package was not built: AOT_TORCH is no Python's torch, that Python has no headers, or a sanitizer is on", flush=True)
    os._exit(77)  # ctest counts it as skipped; unittest would catch sys.exit while it looks for tests
sys.path.insert(0, os.environ["AOT_PACKAGE"])

import torch  # noqa: E402

AOT = os.environ.get("AOT_COMMAND", "build/release/aot")
TEXT = "the cat sat on the mat and the dog sat on the log; " * 120
torch.set_num_threads(2)


def heads(batch, count, tokens, dim, dtype=torch.float32, seed=1):
    """Heads (B, K, T, P) as a projection leaves them: a view of (B, T, K P)."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 * torch.randn(batch, tokens, count * dim, generator=generator)).to(dtype).unflatten(-1, (count, dim)).transpose(1, 2)


class PackageTest(unittest.TestCase):
    def assert_near(self, found, wanted, bound=1e-5):
        """Within `bound` of the largest number wanted."""
        self.assertEqual(found.shape, wanted.shape)
        found, wanted = found.detach().double(), wanted.detach().double()
        self.assertLessEqual(float((found - wanted).abs().max()), bound * max(1e-30, float(wanted.abs().max())))

    @staticmethod
    def run_aot(*arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AOT_")}
        done = subprocess.run([AOT, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert done.returncode == 0, f"aot {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr[-800:]}"
        return done.stdout

    def json_of(self, *arguments):
        return [json.loads(line) for line in self.run_aot(*arguments, "--json").splitlines()]


class TrainedTest(PackageTest):
    """With `folder`, a text prepared in it, and small models trained on that."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="aot-python-"))
        (cls.folder / "text.txt").write_text(TEXT)
        cls.run_aot("data", "prepare", cls.folder / "text.txt", "--tokenizer", "byte", "--out", cls.folder / "data")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def trained(self, name, *settings):
        run = self.folder / name
        if not run.exists():
            size = ["--width", 32, "--layers", 2, "--heads", 2, "--context", 24, "--steps", 60, "--batch", 4, "--lr", 0.01, "--warmup", 5]
            more = ["--eval-windows", 1, "--seed", 1, "--threads", 2, "--quiet"]
            self.run_aot("train", "--data", self.folder / "data", "--out", run, *size, *more, *settings)
        return run
