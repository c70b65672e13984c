# SPDX-License-Identifier: Apache-2.0
"""Hardening of the binary, and what our objects never call."""
import glob
import os
import pathlib
import re
import subprocess
import unittest

COMMAND = pathlib.Path(os.environ["AOT_COMMAND"])
BUILD = COMMAND.parent
# Loading files must not run code: LibTorch's unpicklers, shells, and libraries by path.
NEVER_CALLED = re.compile(r"torch::(jit::)?load\b|torch::jit::.*[lL]oad|pickle_load|\bU (system|popen|execvp?e?|execl[pe]?|dlopen)(@|$)", re.MULTILINE)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Hardening(unittest.TestCase):
    def test_it_is_position_independent(self):
        self.assertRegex(output("readelf", "-hW", COMMAND), r"Type:\s+DYN")
        self.assertRegex(output("readelf", "-dW", COMMAND), r"FLAGS_1.*PIE")

    def test_relocations_are_read_only_after_start(self):
        self.assertIn("GNU_RELRO", output("readelf", "-lW", COMMAND))
        self.assertRegex(output("readelf", "-dW", COMMAND), r"BIND_NOW|FLAGS_1.*NOW")

    def test_the_stack_is_not_executable(self):
        self.assertRegex(output("readelf", "-lW", COMMAND), r"GNU_STACK.* RW +0x")

    def test_stacks_are_protected(self):
        self.assertIn("__stack_chk_fail", output("nm", "-D", COMMAND))

    def test_release_builds_are_fortified(self):
        if "CMAKE_BUILD_TYPE:STRING=Release" not in (BUILD / "CMakeCache.txt").read_text():
            return  # sanitizers bring their own checks
        self.assertRegex(output("nm", "-D", COMMAND), r"__(?!stack)\w+_chk")

    def test_only_libtorch_brings_an_openmp_runtime(self):
        runtimes = re.findall(r"NEEDED.*\[(lib(?:g?omp|iomp)[^\]]*)\]", output("readelf", "-dW", COMMAND))
        self.assertLessEqual(len(runtimes), 1)


class Symbols(unittest.TestCase):
    def test_our_objects_never_run_what_they_load(self):
        objects = glob.glob(f"{BUILD}/src/aot/libaot_*.a") + glob.glob(f"{BUILD}/apps/CMakeFiles/aot.dir/*.o")
        self.assertGreater(len(objects), 8)
        for path in objects:
            with self.subTest(path):
                self.assertNotRegex(output("nm", "-C", "--undefined-only", path), NEVER_CALLED)

    def test_the_pattern_finds_what_it_forbids(self):
        for line in ("                 U system", "  U popen@GLIBC_2.2.5", " U torch::load(at::Tensor&)", " U torch::pickle_load(std::vector<char>)", " U torch::jit::load(x)"):
            self.assertRegex(line, NEVER_CALLED)


if __name__ == "__main__":
    unittest.main()
