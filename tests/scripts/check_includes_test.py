# SPDX-License-Identifier: Apache-2.0
"""The include check finds what it forbids, and accepts a tree that keeps the rules."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).parents[2] / "scripts/check_includes.py"
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"


class CheckIncludes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("src/aot/CMakeLists.txt", "# SPDX-License-Identifier: Apache-2.0\naot_room(io LIBRARIES x)\naot_room(core USES io TORCH)\naot_room(data USES io core LIBRARIES y)\n")
        self.write("src/aot/io/file.h", SPDX + "#pragma once\n#include <string>\n")
        self.write("src/aot/core/device.h", SPDX + "#pragma once\n#include <c10/core/Device.h>\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(self):
        done = subprocess.run([sys.executable, CHECK, self.root], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1 if done.stdout else 0, done.stderr)
        return done.stdout

    def test_a_tree_that_keeps_the_rules_passes(self):
        self.write("src/aot/core/log.cpp", SPDX + '#include "aot/io/file.h"\n#include <ATen/core/Tensor.h>\n')
        self.assertEqual(self.found(), "")

    def test_a_room_below_may_not_include_one_above(self):
        self.write("src/aot/io/file.cpp", SPDX + '#include "aot/core/device.h"\n')
        self.assertIn("src/aot/io/file.cpp:2: room io may not include aot/core/device.h", self.found())

    def test_libtorch_is_kept_out_of_io_and_data_also_behind_our_headers(self):
        self.write("src/aot/io/file.cpp", SPDX + "#include <ATen/core/Tensor.h>\n")
        self.write("src/aot/data/loader.cpp", SPDX + '#include "aot/core/device.h"\n')
        found = self.found()
        self.assertIn("room io stays without LibTorch but includes ATen/core/Tensor.h", found)
        self.assertIn("room data stays without LibTorch but aot/core/device.h includes c10/core/Device.h", found)

    def test_the_whole_of_torch_is_refused_everywhere(self):
        self.write("tests/core/some_test.cpp", SPDX + "#include <torch/torch.h>\n")
        self.assertIn("tests/core/some_test.cpp:2: torch/torch.h", self.found())

    def test_licence_guard_and_length_are_checked(self):
        self.write("src/aot/io/bare.h", "#include <string>\n")
        self.write("src/aot/io/long.cpp", SPDX + "\n" * 600)
        found = self.found()
        self.assertIn("src/aot/io/bare.h:1: no line", found)
        self.assertIn("src/aot/io/bare.h:1: no #pragma once", found)
        self.assertIn("src/aot/io/long.cpp: 601 lines", found)


if __name__ == "__main__":
    unittest.main()
