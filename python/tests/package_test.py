# SPDX-License-Identifier: Apache-2.0
"""The package as it is installed: one OpenMP runtime, stubs that say what is there, the wheel, README's example."""
import ast
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from support import PackageTest, torch

import aot
from aot import _aot

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Package(PackageTest):
    def test_there_is_one_openmp_runtime(self):
        aot.ops.attention(torch.ones(1, 1, 300, 64))
        self.assertEqual(len(_aot.openmp_runtimes()), 1, _aot.openmp_runtimes())

    def test_the_stubs_name_what_the_module_has(self):
        stubs = ast.parse((pathlib.Path(aot.__file__).parent / "_aot.pyi").read_text())
        named = {node.name: node for node in stubs.body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name != "_Model"}
        found = {name for name, value in vars(_aot).items() if callable(value)}
        self.assertEqual(set(named), found)
        for name, node in named.items():
            if isinstance(node, ast.ClassDef) and not node.bases:
                members = {m.name if isinstance(m, ast.FunctionDef) else m.target.id for m in node.body if not isinstance(m, ast.Expr)}
                self.assertEqual(members - {"__len__"}, {m for m in vars(getattr(_aot, name)) if not m.startswith("_")}, name)
        self.assertTrue((pathlib.Path(aot.__file__).parent / "py.typed").exists())

    def test_readmes_example_runs(self):
        text = (ROOT / "README.md").read_text()
        example = re.search(r"```python\n(.*?aot\.nn\.MSSA.*?)```", text, re.DOTALL).group(1)
        model = torch.nn.Module()
        model.blocks = torch.nn.ModuleList(torch.nn.Module() for _ in range(2))
        for block in model.blocks:
            block.attention = torch.nn.Identity()
        exec(compile(example, "README.md", "exec"), {"model": model})
        self.assertTrue(all(isinstance(block.attention, aot.nn.MSSA) for block in model.blocks))

    def test_pip_makes_a_wheel_that_runs_from_elsewhere(self):
        build = pathlib.Path(os.environ["AOT_PACKAGE"]).parent
        if build != ROOT / "build/release":
            self.skipTest("a wheel would be built anew: this is not the build that pip goes on with")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this Python has no pip")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([*pip, "wheel", "--wheel-dir", folder, str(ROOT)], check=True, timeout=600)
            wheel = next(pathlib.Path(folder).glob("aot-*.whl"))
            subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", f"{folder}/site", str(wheel)], check=True, timeout=600)
            program = "import aot, torch; print(aot.__file__, aot.__version__, tuple(aot.ops.attention(torch.ones(1, 1, 3, 16)).shape))"
            environment = {**os.environ, "PYTHONPATH": f"{folder}/site"}
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120)
            self.assertEqual(done.stdout.split(" ", 2), [f"{folder}/site/aot/__init__.py", aot.__version__, "(1, 1, 3, 16)\n"])
            self.assertTrue(list(pathlib.Path(folder, "site").glob("aot-*.dist-info/RECORD")))


if __name__ == "__main__":
    unittest.main()
