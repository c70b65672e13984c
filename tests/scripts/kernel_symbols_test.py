# SPDX-License-Identifier: Apache-2.0
"""The units compiled for one instruction set share nothing with the rest of the program: an inline function of theirs that the linker kept
for everybody would crash an older processor."""
import os
import pathlib
import re
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["AOT_SOURCE"])
BUILD = pathlib.Path(os.environ["AOT_COMMAND"]).resolve().parent
ALLOWED_HEADERS = {"cstdint", "cstddef", "immintrin.h"}
C_FUNCTIONS = {"log2f", "sqrtf", "rintf", "memset", "memcpy", "memmove", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def units():
    return sorted(BUILD.glob("src/aot/CMakeFiles/aot_kernels_*.dir/kernels/cpu/isa/*.o"))


def symbols(unit):
    listing = subprocess.run(["nm", "--demangle", str(unit)], check=True, capture_output=True, text=True).stdout
    return [line.split(maxsplit=1) if line.startswith(" ") else line.split(maxsplit=2)[1:] for line in listing.splitlines()]


class KernelUnits(unittest.TestCase):
    def test_units_were_built(self):
        self.assertGreaterEqual(len(units()), 1)

    def test_no_unit_defines_a_symbol_that_others_could_share(self):
        for unit in units():
            path = re.search(r"aot_kernels_(\w+)\.dir", str(unit)).group(1)
            for kind, name in symbols(unit):
                with self.subTest(unit=unit.parent.parent.name + "/" + unit.name, symbol=name):
                    self.assertNotIn(kind, "WVuC")
                    if kind in "TDRB":
                        self.assertTrue(name.startswith(f"aot::{path}::"), "defined outside its path's namespace")
                    elif kind == "U" and not name.startswith("__asan") and not name.startswith("__ubsan"):
                        self.assertTrue(name in C_FUNCTIONS or name.startswith(f"aot::{path}::"), "taken from elsewhere")

    def test_units_include_no_standard_library(self):
        for path in sorted((SOURCE / "src/aot/kernels/cpu/isa").iterdir()):
            for header in re.findall(r"#include <([^>]+)>", path.read_text()):
                self.assertIn(header, ALLOWED_HEADERS, path.name)


if __name__ == "__main__":
    unittest.main()
