# SPDX-License-Identifier: Apache-2.0
"""The units compiled for one instruction set share nothing with the rest of the program: an inline function of theirs that the linker kept
for everybody would crash an older processor."""
import os
import pathlib
import platform
import re
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["AOT_SOURCE"])
BUILD = pathlib.Path(os.environ["AOT_COMMAND"]).resolve().parent
KERNELS = SOURCE / "src/aot/kernels/cpu/isa"
PATHS = ["generic", "avx2", "avx512", "avx512_bf16"] if platform.machine() in ("x86_64", "AMD64") else ["generic"]
ALLOWED_HEADERS = {"cstdint", "cstddef", "immintrin.h"}
C_FUNCTIONS = {"log2f", "sqrtf", "rintf", "memset", "memcpy", "memmove", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def units():
    """Every file of isa/ as it was compiled for every path."""
    return [(path, BUILD / f"src/aot/CMakeFiles/aot_kernels_{path}.dir/kernels/cpu/isa/{source.name}.o")
            for path in PATHS for source in sorted(KERNELS.glob("*.cpp"))]


def symbols(unit):
    listing = subprocess.run(["nm", "--demangle", str(unit)], check=True, capture_output=True, text=True).stdout
    return [line.split(maxsplit=1) if line.startswith(" ") else line.split(maxsplit=2)[1:] for line in listing.splitlines()]


class KernelUnits(unittest.TestCase):
    def test_every_file_was_built_for_every_path(self):
        self.assertGreaterEqual(len(units()), len(PATHS))
        for path, unit in units():
            self.assertTrue(unit.is_file(), f"{path}: no {unit}")

    def test_no_unit_defines_a_symbol_that_others_could_share(self):
        for path, unit in units():
            for kind, name in symbols(unit):
                with self.subTest(path=path, unit=unit.name, symbol=name):
                    self.assertNotIn(kind, "WwVvuCc", "weak, unique or common: the linker keeps one for the whole program")
                    if kind in "TDRB":
                        self.assertTrue(name.startswith(f"aot::{path}::"), "defined outside its path's namespace")
                    elif kind == "U" and not name.startswith("__asan") and not name.startswith("__ubsan"):
                        self.assertTrue(name in C_FUNCTIONS or name.startswith(f"aot::{path}::"), "taken from elsewhere")

    def test_units_include_no_standard_library(self):
        for path in sorted(KERNELS.iterdir()):
            for header in re.findall(r"#include <([^>]+)>", path.read_text()):
                self.assertIn(header, ALLOWED_HEADERS, path.name)


if __name__ == "__main__":
    unittest.main()
