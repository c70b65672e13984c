# SPDX-License-Identifier: Apache-2.0
"""`aot icl eval`: rows, closed forms, shifts, pictures, and refusals, on models that are written here."""
import json
import pathlib
import random
import struct
import tempfile
import unittest

from command import CommandTest

CONFIG = {
    "model_type": "aot-icl", "format": 1, "mixer": "mhsa", "block": "attention-only", "width": 8, "layers": 1, "heads": 2, "head_dim": 4,
    "dims": 3, "max_points": 6, "position": "learned", "rotary": False, "output": "untied", "gate": "none", "norm": "layer", "bias": False,
    "step_size": "fixed", "step_init": 1.0, "dropout": 0.0,
}


def shapes(config):
    d, positions = config["width"], 2 * config["max_points"]
    layer = {"layers.0.norm.weight": [d], "layers.0.mixer.w_qkv": [3 * d, d], "layers.0.mixer.w_out": [d, d]}
    return {"read_in": [d, config["dims"]], "read_in_bias": [d], "position": [positions, d], **layer, "final_norm.weight": [d], "head": [1, d], "head_bias": [1]}


def write_model(folder, seed=1, zero=(), **changes):
    """A checkpoint of random weights; those named in `zero` are 0."""
    folder.mkdir(parents=True)
    config = {**CONFIG, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    drawn = random.Random(seed)
    header, data = {}, b""
    for name, shape in shapes(config).items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers = [0.0 if name in zero else drawn.gauss(0, 0.5) for _ in range(count)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *numbers)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(folder)


class Icl(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)
        cls.model = write_model(cls.path / "one")
        cls.silent = write_model(cls.path / "silent", zero=("head", "head_bias"))

    def rows(self, *arguments):
        out, _ = self.run_aot("icl", "eval", *arguments, "--json", "--quiet", "--threads", "1")
        rows = [json.loads(line) for line in out.splitlines()]
        for row in rows:
            self.assertEqual(list(row), ["examples", "model", "error", "low", "high"])
            self.assertLessEqual(row["low"], row["error"] + 1e-9)
            self.assertLessEqual(row["error"], row["high"] + 1e-9)
        return {(row["model"], row["examples"]): row for row in rows}

    def test_baselines_have_the_errors_of_the_closed_forms(self):
        rows = self.rows("--model", self.model)
        self.assertEqual({name for name, _ in rows}, {"one", "least-squares", "ridge-0.01", "3-nearest", "averaging", "zero"})
        self.assertEqual(len(rows), 6 * 6)
        for i in range(6):
            for name, wanted in [("zero", 1), ("least-squares", max(0, 1 - i / 3)), ("averaging", 4 / i if i else 1)]:
                row = rows[name, i]
                self.assertAlmostEqual(row["error"], wanted, delta=2.5 * (row["high"] - row["low"]) + 1e-3)  # about four standard errors

    def test_a_model_that_always_says_0_is_the_baseline_zero(self):
        rows = self.rows("--model", self.silent, "--model", self.model, "--points", "4")
        for i in range(4):
            for key in ("error", "low", "high"):
                self.assertAlmostEqual(rows["silent", i][key], rows["zero", i][key], places=12)
            self.assertNotEqual(rows["one", i]["error"], rows["zero", i]["error"])

    def test_prompts_are_of_their_seed(self):
        first = self.rows("--model", self.model, "--prompts", "40")
        self.assertEqual(first, self.rows("--model", self.model, "--prompts", "40"))
        self.assertNotEqual(first, self.rows("--model", self.model, "--prompts", "40", "--seed", "7"))

    def test_sparse_functions_have_the_lasso_beside_them(self):
        rows = self.rows("--model", self.model, "--problem", "sparse-linear", "--sparsity", "1", "--noise", "0.1", "--prompts", "300")
        for alpha in ("1", "0.1", "0.01", "0.001", "0.0001"):
            self.assertIn((f"lasso-{alpha}", 5), rows)
        self.assertIn(("ridge-0.01", 0), rows)
        self.assertLess(rows["lasso-0.1", 2]["error"], rows["least-squares", 2]["error"])

    def test_shifts_change_what_is_asked(self):
        for shift in ("random-quadrants", "overlapping-query", "half-subspace", "skewed", "scale-x", "scale-y", "noisy", "orthogonal-query"):
            with self.subTest(shift):
                rows = self.rows("--model", self.model, "--prompts", "400", "--shift", shift, "--points", "3")
                least = rows["least-squares", 2]["error"]
                if shift == "overlapping-query":
                    self.assertLess(least, 1e-6)
                if shift == "orthogonal-query":
                    self.assertAlmostEqual(least, rows["zero", 2]["error"], places=5)

    def test_out_holds_rows_table_and_picture(self):
        out = self.path / "out"
        text, _ = self.run_aot("icl", "eval", "--model", self.model, "--prompts", "50", "--out", str(out), "--quiet")
        self.assertEqual({path.name for path in out.iterdir()}, {"errors.jsonl", "errors.md", "errors.svg"})
        self.assertEqual((out / "errors.md").read_text(), text)
        self.assertEqual(len((out / "errors.jsonl").read_text().splitlines()), 36)
        picture = (out / "errors.svg").read_text()
        for name in ("one", "least-squares", "3-nearest"):
            self.assertIn(f">{name}</text>", picture)

    def test_models_of_one_name_are_told_by_their_paths(self):
        self.assertIn(("one", 0), self.rows("--model", self.model + "/", "--prompts", "20"))
        other = write_model(self.path / "other" / "one", seed=2)
        names = {name for name, _ in self.rows("--model", self.model, "--model", other, "--prompts", "20")}
        self.assertTrue({self.model, other} <= names)

    def test_refusals(self):
        wide = write_model(self.path / "wide", dims=4)
        odd = write_model(self.path / "odd")
        pathlib.Path(odd, "config.json").write_text(json.dumps({**CONFIG, "dims": 10**7}))
        for words, message, code in (
            ([], "needs --model", 2),
            (["--model", self.model, "--points", "7"], "positions for 6 points, asked are 7", 2),
            (["--model", self.model, "--model", wide], "3 and 4 dimensions", 2),
            (["--model", self.model, "--shift", "orthogonal-query"], "no query is orthogonal to 5 examples in 3 dimensions", 2),
            (["--model", self.model, "--problem", "sparse-linear", "--sparsity", "4"], "sparsity 4 exceeds the 3 dimensions", 2),
            (["--model", self.model, "--problem", "cubic"], "problem", 2),
            (["--model", self.model, "--prompts", "1"], "prompts", 2),
            (["--model", str(self.path / "none")], "no such file", 3),
            (["--model", odd], "dims", 3),
        ):
            with self.subTest(words):
                self.assertIn(message, self.error_of("icl", "eval", *words, "--quiet", code=code))


if __name__ == "__main__":
    unittest.main()
