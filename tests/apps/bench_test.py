# SPDX-License-Identifier: Apache-2.0
"""`aot bench`: rows with the keys that comparisons read, whatever the machine's speed."""
import argparse
import importlib
import json
import os
import pathlib
import re
import sys
import tempfile
import unittest

from command import CommandTest

SOURCE = pathlib.Path(os.environ["AOT_SOURCE"])
SMALL = ["--width", "32", "--layers", "2", "--heads", "2", "--tokens", "16", "--vocab", "50", "--seconds", "0.05", "--json", "--threads", "1"]
KEYS = {"peer", "what", "ms", "min_ms", "repeats", "threads", "torch", "tokens_per_s", "rss_mb", "base_rss_mb", "shape", "dtype", "cpu"}


class Bench(CommandTest):
    def check(self, row, what, tokens):
        self.assertLessEqual(KEYS, set(row))
        self.assertEqual((row["peer"], row["what"], row["threads"]), ("aot", what, 1))
        self.assertLessEqual(row["min_ms"], row["ms"])
        self.assertAlmostEqual(row["tokens_per_s"] * row["ms"] / 1e3, tokens, places=6)
        self.assertLessEqual(row["base_rss_mb"], row["rss_mb"])

    def test_step(self):
        row = self.json_of("bench", "step", *SMALL, "--batch", "3")
        self.check(row, "training step", 48)
        # Embedding 50 x 32, per layer u, w_out and a norm, the last norm; the position table is not counted.
        self.assertEqual(row["parameters"], 50 * 32 + 2 * (2 * 32 * 32 + 32) + 32)
        flop = 48 * (6 * row["parameters"] + 6 * 2 * 32 * 16)
        self.assertAlmostEqual(row["gflops"] * row["ms"] * 1e6 / flop, 1, places=6)
        self.assertAlmostEqual(row["fraction"], row["gflops"] / row["ceiling_gflops"], places=9)
        self.assertLess(row["error"], 1e-5)
        self.assertEqual(row["fallbacks"], 0)
        compared = self.json_of("bench", "step", *SMALL, "--compare")["compared"]
        self.assertAlmostEqual(compared["libtorch_ratio"], compared["libtorch_ms"] / compared["ms"], places=9)

    def test_decode(self):
        for dtype, size in (("float32", 4), ("bfloat16", 2), ("int8", 1)):
            row = self.json_of("bench", "decode", *SMALL, "--dtype", dtype)
            self.check(row, "decode", 1)
            self.assertEqual((row["context"], row["dtype"]), (16, dtype))
            self.assertLess(row["error"], 1e-5 if dtype == "float32" else 0.05)
            scales = 2 * 16 * 2 * 4 if dtype == "int8" else 0  # one for each layer, token and head
            self.assertEqual(row["state_bytes"], 2 * 16 * 32 * size + scales)  # one cache is keys and values
            self.assertAlmostEqual(row["read_bytes"] / row["ms"] / 1e6, row["read_gb_per_s"], places=6)
            self.assertAlmostEqual(row["fraction"], row["read_gb_per_s"] / row["ceiling_gb_per_s"], places=9)
        compared = self.json_of("bench", "decode", *SMALL, "--compare")["compared"]
        self.assertGreater(compared["two_caches_read_bytes"], row["read_bytes"])
        self.assertGreater(compared["libtorch_one_cache_float32_ratio"], 0)
        self.check(self.json_of("bench", "decode", *SMALL, "--batch", "3", "--mixer", "mhsa", "--rotary"), "decode", 3)

    def test_images(self):
        out, _ = self.run_aot("bench", "images", "--height", "40", "--width", "60", "--image-size", "16", "--resize", "20", "--workers", "2", "--seconds", "0.1",
                              "--json")
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([row["what"] for row in rows], ["random resized crop and flip", "resize and centre crop"])
        for row in rows:
            self.assertAlmostEqual(row["ratio"], row["images_per_s"] / row["decode_images_per_s"], places=9)
            self.assertEqual((row["workers"], row["shape"]), (2, {"height": 40, "width": 60, "image_size": 16}))
        self.assertIn("--resize", self.error_of("bench", "images", "--resize", "100", code=2))

    def script(self):
        sys.path.insert(0, str(SOURCE / "bench"))
        try:
            return importlib.import_module("against_pytorch")
        finally:
            sys.path.pop(0)

    def test_every_row_of_the_comparison_with_pytorch_is_a_command_that_runs(self):
        script = self.script()
        small = {"width": 32, "layers": 1, "heads": 2, "tokens": 8, "vocab": 20, "batch": 1, "rows": 4, "inputs": 16, "outputs": 16, "threads": 1}
        options = argparse.Namespace(aot=os.environ["AOT_COMMAND"], seconds=0.001, threads=1, log=self.enterContext(tempfile.TemporaryDirectory()), python="python", peer="peer.py", quick=False)
        seen = set()
        for row in script.ROWS:
            row = {**row, "ours": {key: small.get(key, value) for key, value in row["ours"].items()}}
            if "other" in row:
                row["other"] = {key: small.get(key, value) for key, value in row["other"].items()}
            own, others = script.commands_of(row, options)
            for command in [own, *([others["own"]] if "own" in others else [])]:
                if tuple(command) in seen or "vit-s" in row["name"]:
                    continue
                seen.add(tuple(command))
                rows = script.json_rows(command, options, {})
                self.assertEqual("heard" in str(rows), "--log=" + options.log in command, command)
                if not others:
                    self.assertGreater(min(found["ratio"] for found in rows.values()), 0)

    def test_the_comparison_with_pytorch_reads_the_memory_of_every_kind_of_row(self):
        script = self.script()
        step = self.json_of("bench", "step", *SMALL, "--batch", "3")
        self.assertEqual(script.memory([step]), step["rss_mb"] - step["base_rss_mb"])
        self.assertIsNone(script.memory(self.compared("attention", "--tokens", "16", "--batch", "1", "--heads", "2", "--head-dim", "16")))

    def compared(self, *arguments):
        out, _ = self.run_aot("bench", *arguments, "--seconds", "0.02", "--threads", "1", "--json")
        rows = [json.loads(line) for line in out.splitlines()]
        for row in rows:
            if "libtorch_ms" in row:
                self.assertAlmostEqual(row["ratio"], row["libtorch_ms"] / row["ms"], places=9)
                self.assertLess(row["libtorch_error"], 1e-5 if row["dtype"] == "float32" else 2e-2)
            self.assertAlmostEqual(row["fraction"], row.get("gflops", row.get("useful_gflops")) / row["ceiling_gflops"], places=9)
            self.assertGreaterEqual(row["kept"] + row["rejected"], 5)
            self.assertLess(row["error"], 1e-5 if row["dtype"] == "float32" else 2e-2)
        return rows

    def test_attention(self):
        rows = self.compared("attention", "--batch", "2", "--heads", "4", "--tokens", "33", "--head-dim", "16", "--rotary")
        self.assertEqual([row["what"] for row in rows], ["attention forward", "attention forward+backward"])
        for row, products in zip(rows, (2, 7)):
            flop = products * 2 * 2 * 33 * 33 / 2 * 4 * 16
            self.assertAlmostEqual(row["useful_gflops"] * row["ms"] * 1e6, flop, delta=1)
            self.assertAlmostEqual(row["libtorch_useful_gflops"] * row["libtorch_ms"] * 1e6, flop, delta=1)
            self.assertEqual(row["fallbacks"], 0)

    def test_linear(self):
        for dtype in ("float32", "bfloat16"):
            rows = self.compared("linear", "--rows", "33", "--inputs", "40", "--outputs", "50", "--dtype", dtype)
            self.assertEqual([row["what"] for row in rows], ["Y = X W^T", "dX = dY W", "dW = dY^T X", "layer forward+backward"])
            for row, products in zip(rows, (1, 1, 1, 3)):
                self.assertAlmostEqual(row["gflops"] * row["ms"] * 1e6, products * 2 * 33 * 40 * 50, delta=1)

    def test_head(self):
        rows = self.compared("head", "--rows", "33", "--width", "24", "--vocab", "50")
        self.assertEqual([row["what"] for row in rows], ["loss and gradients", "loss"])
        self.assertAlmostEqual(rows[0]["gflops"] * rows[0]["ms"] * 1e6, 6 * 33 * 24 * 50, delta=1)

    def test_mixers(self):
        shape = ["--batch", "2", "--width", "32", "--heads", "2", "--head-dim", "16", "--tokens", "17"]
        for mask, pairs in (("causal", 17 * 18 / 2), ("none", 17 * 17)):
            rows = {row["what"]: row for row in self.compared("mixers", *shape, "--mask", mask)}
            for mixer in re.findall(r"^AOT_MIXER\((\w+)", (SOURCE / "src/aot/mixers/catalogue.def").read_text(), re.MULTILINE):
                for way, times in (("forward", 1), ("forward+backward", 3)):
                    row = rows.pop(f"{mixer} {way}")
                    self.assertEqual((row["mixer"], row["shape"]["tokens"], row["shape"]["mask"]), (mixer, 17, mask))
                    self.assertEqual("libtorch_ms" in row, mixer in ("mssa", "mhsa"))
                    if mixer == "mssa":  # two linear layers, scores and values
                        flop = times * 2 * (2 * 2 * 17 * 32 * 32 + 2 * pairs * 2 * 32)
                        self.assertAlmostEqual(row["gflops"] * row["ms"] * 1e6, flop, delta=1)
            self.assertEqual(rows, {})

    def test_heads_that_our_kernels_do_not_serve_are_said_once(self):
        for width, times in ((40, 1), (272, 1), (32, 0)):  # heads of 20, 136, 16
            _, told = self.run_aot("bench", "step", "--width", str(width), "--layers", "2", "--heads", "2", "--tokens", "9", "--vocab", "50", "--seconds", "0.01")
            self.assertEqual(told.count(f"heads of {width // 2} numbers in Float take LibTorch's operator"), times)

    def test_shapes_that_cannot_be_are_refused(self):
        self.assertIn("100 is not divisible by 3", self.error_of("bench", "step", "--width", "100", "--heads", "3", code=2))
        self.assertIn("known: mssa", self.error_of("bench", "decode", "--mixer", "nope", code=2))
        self.assertIn("at least 2", self.error_of("bench", "decode", "--tokens", "1", code=2))


if __name__ == "__main__":
    unittest.main()
