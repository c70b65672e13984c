# SPDX-License-Identifier: Apache-2.0
"""`aot theory probe`: runs of the same settings averaged, stages of a run, what it writes, and refusals."""
import json
import pathlib
import tempfile
import unittest

from command import CommandTest

SMALL = ["--width", "16", "--layers", "3", "--heads", "2", "--context", "16", "--batch", "4", "--steps", "20", "--save-every", "10", "--keep", "5"]


class Probe(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)
        cls.text = cls.path / "text.txt"
        cls.text.write_text("what is read twice is read better, and what is read once is read too. " * 60)

    def run_of(self, name, *flags):
        """A trained run; made once."""
        data, run = self.path / "data", self.path / name
        if not data.exists():
            self.run_aot("data", "prepare", str(self.text), "--tokenizer", "char", "--val", "0.2", "--out", str(data))
        if not run.exists():
            self.run_aot("train", "--data", str(data), "--out", str(run), *SMALL, "--threads", "1", "--quiet", *flags)
        return str(run)

    def probe(self, *arguments):
        out = self.path / "probe"
        words = ["theory", "probe", *arguments, "--data", str(self.path / "data"), "--out", str(out), "--tokens", "320", "--draws", "3", "--seed", "1"]
        return self.json_of(*words, "--json", "--threads", "1"), out

    def test_runs_of_the_same_settings_are_averaged(self):
        runs = [self.run_of(f"tied-{seed}", "--mixer", "mssa", "--output", "tied", "--seed", str(seed)) for seed in (1, 2)]
        mhsa = self.run_of("mhsa", "--mixer", "mhsa", "--seed", "1")
        result, out = self.probe("--model", runs[0], "--model", runs[1], "--model", mhsa, "--steps", "0,10,last")
        tied, free = result["groups"]
        self.assertEqual((tied["name"], tied["subspaces"]), ("mssa tied, 16 x 3, 2 heads of 8", "U_k"))
        self.assertEqual(free["subspaces"], "value subspaces of mhsa")
        self.assertEqual([stage["stage"] for stage in tied["stages"]], ["0", "10", "last"])
        self.assertEqual([stage["steps"] for stage in tied["stages"]], [[0, 0], [10, 10], [20, 20]])
        for stage in tied["stages"]:
            self.assertEqual([row["layer"] for row in stage["layers"]], [1, 2, 3])
            rows = [model for model in result["models"] if model["stage"] == stage["stage"] and model["model"] in runs]
            for layer in range(3):
                values = [row["layers"][layer]["snr"] for row in rows]
                interval = stage["layers"][layer]["snr"]
                self.assertAlmostEqual(interval["mean"], sum(values) / 2, places=12)
                self.assertAlmostEqual(interval["half"], 12.706 * abs(values[0] - values[1]) / 2, places=9)
        self.assertIsNone(free["stages"][0]["layers"][0]["snr"]["half"])
        for model in result["models"]:
            self.assertEqual(model["tokens"], 320)
            for layer in model["layers"]:
                self.assertEqual(sum(head["tokens"] for head in layer["heads"]), 320)
                self.assertEqual((len(layer["random_draws"]), len(layer["shuffled_draws"])), (3, 2))
        self.assertEqual({path.name for path in out.iterdir()}, {"probe.json", "probe.md", "probe-1.svg", "probe-2.svg"})
        self.assertEqual(json.loads((out / "probe.json").read_text()), result)
        self.assertIn("| layer | SNR before |", (out / "probe.md").read_text())

    def test_the_first_weights_are_those_that_training_started_from(self):
        still = self.run_of("still", "--mixer", "mssa", "--seed", "7", "--lr", "1e-12", "--min-lr", "1e-12", "--weight-decay", "0")
        result, _ = self.probe("--model", still, "--steps", "0,last")
        first, last = (model["layers"] for model in result["models"])
        for a, b in zip(first, last):
            self.assertAlmostEqual(a["snr"], b["snr"], places=5)

    def test_a_checkpoint_that_is_named_itself(self):
        run = self.run_of("tied-1", "--mixer", "mssa", "--output", "tied", "--seed", "1")
        result, _ = self.probe("--model", f"{run}/checkpoints/step-00000010")
        self.assertEqual([(model["stage"], model["step"]) for model in result["models"]], [("0", 0), ("10", 10)])
        result, _ = self.probe("--model", f"{run}/checkpoints/step-00000010", "--model", f"{run}/checkpoints/step-00000020")
        self.assertEqual([(model["stage"], model["step"]) for model in result["models"]], [("0", 0), ("10", 10), ("20", 20)])

    def test_text_is_read_by_the_models_tokenizer(self):
        run = self.run_of("tied-1", "--mixer", "mssa", "--output", "tied", "--seed", "1")
        words = ["theory", "probe", "--model", run, "--data", str(self.text), "--out", str(self.path / "text"), "--tokens", "64", "--steps", "last"]
        self.assertEqual(self.json_of(*words, "--json", "--seed", "1")["models"][0]["tokens"], 64)

    def test_refusals(self):
        run = self.run_of("tied-1", "--mixer", "mssa", "--output", "tied", "--seed", "1")
        tssa = self.run_of("tssa", "--mixer", "tssa", "--no-rotary", "--seed", "1")
        data, out = str(self.path / "data"), str(self.path / "refused")
        whole = ["--data", data, "--out", out]
        for words, message, code in (
            (["--model", tssa, *whole], "mixes by tssa", 2),
            (["--model", str(self.path / "nothing"), *whole], "no such file", 3),
            (["--model", run, *whole, "--steps", "7"], "has not kept step 7", 3),
            (["--model", run, *whole, "--steps", "-1"], "'-1' is no step", 2),
            (["--model", run, *whole, "--steps", "x"], "'x' is no step", 2),
            (["--model", run, *whole, "--steps", ","], "is no step", 2),
            (["--model", run, "--model", run, *whole], "is named twice", 2),
            (["--model", run, *whole, "--steps", "10,010"], "is named twice", 2),
            (["--model", run, *whole, "--tokens", "0"], "--tokens", 2),
            (["--model", run, *whole, "--draws", "0"], "--draws", 2),
            (["--model", run, *whole, "--eps-squared", "0"], "--eps-squared", 2),
            (["--model", run, "--data", data], "--out", 2),
            (["--model", run, "--out", out], "--data", 2),
            (whole, "--model", 2),
            (["--model", run, "--data", str(self.path / "none.txt"), "--out", out], "none.txt", 3),
        ):
            self.assertIn(message, self.error_of("theory", "probe", *words, "--seed", "1", code=code))
        self.assertFalse(pathlib.Path(out).exists())


if __name__ == "__main__":
    unittest.main()
