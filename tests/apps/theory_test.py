# SPDX-License-Identifier: Apache-2.0
"""`aot theory`: the presets of docs/theory.md, the keys that scripts read, and refusals."""
import csv
import json
import pathlib
import tempfile
import unittest

from command import CommandTest

SIZES = {"--tokens": "64", "--heads": "2", "--head-dim": "48", "--layers": "2"}


def small(*words):
    """The small sizes, with those in `words` in their place."""
    changed = {**SIZES, **{name: value for name, value in zip(words, words[1:]) if name in SIZES}}
    others = [word for n, word in enumerate(words) if word not in SIZES and (n == 0 or words[n - 1] not in SIZES)]
    return [part for pair in changed.items() for part in pair] + others + ["--seed", "1", "--no-spectra", "--threads", "1"]


class Theory(CommandTest):
    def rows(self, *arguments):
        out, _ = self.run_aot("theory", *arguments, "--json")
        return [json.loads(line) for line in out.splitlines()]

    def test_presets_of_the_theorem(self):
        exact = self.rows("certify", "--preset", "exact", "--seeds", "10", "--seed", "1", "--no-spectra")
        self.assertEqual(len(exact), 10)
        for row in exact:
            self.assertEqual((row["exact_layers"], row["predicted_layers"], row["verified"]), (13, 20, True))
            self.assertEqual([layer["verdict"] for layer in row["layers"]], ["verified"] * 13)
        breaks = self.rows("certify", "--preset", "break", "--seeds", "10", "--seed", "1", "--no-spectra")
        self.assertEqual(len(breaks), 10)
        for row in breaks:
            self.assertEqual((row["exact_layers"], row["verified_layers"], row["predicted_layers"], row["verified"]), (5, 5, 5, False))
            self.assertEqual(row["layers"][5]["verdict"], "broken")
            self.assertFalse(row["layers"][5]["first_wrong"]["missing"])

    def test_presets_take_their_row_for_a_noise(self):
        for delta, eta in (("0.2", 0.0157), ("0.5", 0.0357), ("0.3", 0.0157)):
            (row,) = self.rows("denoise", "--preset", "fig4-prenorm", "--delta", delta, "--layers", "1", "--seed", "1", "--no-spectra")
            self.assertEqual((row["eta"], row["delta"]), (eta, float(delta)))
        out, _ = self.run_aot("theory", "denoise", "--preset", "list")
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["exact", "break", "fig4-theorem", "fig4-prenorm", "fig4-practical", "fig4-softmax"])

    def test_tables_name_what_broke(self):
        out, _ = self.run_aot("theory", "certify", *small("--delta", "0.6"))
        self.assertIn("first wrong entry: layer 1, head ", out)
        out, _ = self.run_aot("theory", "denoise", *small("--phi", "softmax"))
        header, first = (line.split() for line in out.splitlines()[1:3])
        self.assertEqual(first[header.index("wrong") - 3], "-")  # three names before it are two words each
        out, _ = self.run_aot("theory", "certify", *small("--bases", "rotated", "--basis-angle", "5"))
        self.assertIn("hypothesis not met: the operator has the tokens' own bases", out)
        self.assertIn("verified in 0 of 2 layers, mask exact in the first 2", out)

    def test_every_phi_and_departure_runs(self):
        for phi in ("threshold", "softmax", "relu", "relu-mean", "identity"):
            (row,) = self.rows("denoise", *small("--phi", phi, "--eta", "0.001"))
            self.assertEqual(len(row["layers"]), 2)
            for key in ("wrong_entries", "mask_block_diagonal"):
                self.assertEqual(row["layers"][0][key] is None, phi != "threshold", key)
        for words in (["--angles", "60"], ["--between", "0.2"], ["--tails", "4"], ["--ambient", "0.1", "--width", "120"], ["--head-dims", "48,56"],
                      ["--cluster-sizes", "random"], ["--bases", "labels"], ["--bases", "clusters"], ["--form", "convex"], ["--renormalize"],
                      ["--norm", "layer"], ["--scale", "0"]):  # fmt: skip
            self.assertEqual(len(self.rows("denoise", *small(*words))), 1)

    def test_tokens_one_by_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tokens.csv"
            (row,) = self.rows("denoise", *small("--per-token", str(path)))
            with path.open() as file:
                tokens = list(csv.DictReader(file))
        self.assertEqual(len(tokens), 2 * 64)
        for cluster in (0, 1):
            mine = [t for t in tokens if t["layer"] == "2" and t["cluster"] == str(cluster)]
            for key in ("signal", "noise"):
                self.assertAlmostEqual(sum(float(t[key]) ** 2 for t in mine) ** 0.5, row["layers"][1][key][cluster], places=8)

    def test_a_file_that_cannot_be_written_is_refused_before_the_first_sample(self):
        with tempfile.TemporaryDirectory() as folder:
            for path, words in ((folder, "Is a directory"), (folder + "/absent/tokens.csv", "No such file or directory")):
                self.assertIn(f"{path}: cannot be", self.error_of("theory", "denoise", *small("--per-token", path), "--quiet", code=4))
                self.assertIn(words, self.error_of("theory", "denoise", *small("--per-token", path), "--quiet", code=4))

    def test_figures(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "figures"
            text, _ = self.run_aot("theory", "figures", "--out", str(out), "--seeds", "2", "--seed", "3")
            self.assertEqual(len(text.splitlines()), 12)
            files = {path.name for path in out.iterdir()}
            self.assertEqual(files, {f"fig4-{n}.svg" for n in ("paper", "compare", "theorem", "prenorm", "practical", "softmax")} | {"fig4.csv", "fig4.json"})
            with (out / "fig4.csv").open() as file:
                self.assertEqual(len(list(csv.DictReader(file))), 4 * 2 * 13)

    def test_a_sweep_goes_on_where_it_stopped(self):
        grid = ["--tokens", "32", "--heads", "2", "--head-dim", "10ln", "--delta", "0.05,0.1", "--tau", "0.75", "--eta", "0.2,0.5", "--layers", "15"]
        with tempfile.TemporaryDirectory() as folder:
            words = ["theory", "sweep", "--out", folder, *grid, "--seeds", "2", "--json"]
            first = self.json_of(*words, "--seed", "4")
            rows = pathlib.Path(folder) / "rows.jsonl"
            lines = rows.read_text().splitlines()
            self.assertEqual(len(lines), 8)
            rows.write_text("\n".join(lines[:3]) + "\n" + lines[3][:30])  # as a kill leaves it
            self.assertEqual(self.json_of(*words), first)  # takes the seeds that the file has
            self.assertEqual(sorted(rows.read_text().splitlines()), sorted(lines))
            self.assertTrue((pathlib.Path(folder) / "map-1.svg").exists())
        self.assertIn("theorem's window", self.error_of("theory", "sweep", "--out", "x", "--head-dim", "3", code=2))
        self.assertIn("--out", self.error_of("theory", "sweep", code=2))
        self.assertIn("--out", self.error_of("theory", "figures", code=2))

    def test_refusals(self):
        for words, message in (
            (["--head-dim", "0"], "--head-dim"),
            (["--tokens", "0"], "--tokens"),
            (["--width", "95"], "need D >= K p = 96"),
            (["--tau", "1"], "--tau"),
            (["--tau", "0"], "--tau"),
            (["--delta", "-0.1"], "--delta"),
            (["--head-dim", "14"], "p > (32/9) ln N = 14.79"),
            (["--tau", "0.5"], "outside the theorem's window (0.5, "),
            (["--preset", "exakt"], "did you mean 'exact'"),
            (["--tokens", "63"], "not divisible"),
            (["--angles", "x"], "'x' is not a number"),
        ):
            self.assertIn(message, self.error_of("theory", "certify", *small(*words), code=2))
        self.assertIn("float64", self.error_of("theory", "denoise", *small("--phi", "identity", "--eta", "1000", "--layers", "60"), code=1))


if __name__ == "__main__":
    unittest.main()
