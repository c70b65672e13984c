# SPDX-License-Identifier: Apache-2.0
"""Vision models by the command: `eval top1`, `knn`, `linear-probe`, `segmentation`, `explain heatmaps`, `inspect`."""
import json
import pathlib
import random
import struct
import tempfile
import unittest

from command import CommandTest

DIGITS = {
    "mixer": "mssa", "block": "attention-only", "width": 12, "layers": 2, "heads": 3, "head_dim": 4, "image_size": 28, "channels": 1, "classes": 10,
    "patch": 7, "stem": "linear", "pooling": "class-token", "position": "learned", "output": "untied", "gate": "none", "norm": "layer", "bias": False,
    "step_size": "fixed", "step_init": 1.0, "dropout": 0.0,
}
SHAPES = {**DIGITS, "image_size": 32, "channels": 3, "classes": 8, "patch": 8}


def safetensors(tensors):
    """The file format from {name: (shape, numbers)}."""
    header, data = {}, b""
    for name, (shape, numbers) in tensors.items():
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


class Pictures(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)

    def checkpoint(self, name, settings, seed=1):
        """A checkpoint with random weights; made once."""
        folder = self.path / name
        if folder.exists():
            return str(folder)
        folder.mkdir()
        draw = random.Random(seed)
        width, inner = settings["width"], settings["heads"] * settings["head_dim"]
        inputs = settings["channels"] * settings["patch"] ** 2
        tokens = (settings["image_size"] // settings["patch"]) ** 2 + 1
        shapes = {"patch": [width, inputs], "patch_bias": [width], "class_token": [width], "position": [tokens, width]}
        for layer in range(settings["layers"]):
            prefix = f"layers.{layer}."
            shapes |= {prefix + "norm.weight": [width], prefix + "norm.bias": [width]}
            shapes |= {prefix + "mixer.u": [inner, width], prefix + "mixer.w_out": [width, inner]}
        shapes |= {"final_norm.weight": [width], "final_norm.bias": [width], "head": [settings["classes"], width], "head_bias": [settings["classes"]]}
        tensors = {}
        for name_of, shape in shapes.items():
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            tensors[name_of] = (shape, [1.0] * count if name_of.endswith("norm.weight") else [draw.gauss(0, 0.3) for _ in range(count)])
        (folder / "model.safetensors").write_bytes(safetensors(tensors))
        (folder / "config.json").write_text(json.dumps({"model_type": "aot-vision", "format": 1, **settings}))
        return str(folder)

    def data(self, kind):
        folder = self.path / f"data-{kind}"
        if not folder.exists():
            size = ["--size", "32"] if kind == "shapes" else []
            self.run_aot("data", "make", kind, *size, "--count", "60", "--val", "0.5", "--out", str(folder), "--seed", "1")
        return str(folder)

    def test_top1_of_one_and_of_several_models(self):
        one, two, data = self.checkpoint("digits", DIGITS), self.checkpoint("digits-2", DIGITS, seed=2), self.data("digits")
        row = self.json_of("eval", "top1", "--model", one, "--data", data, "--json")
        self.assertEqual((row["task"], row["count"], row["split"]), ("top1", 30, "val"))
        self.assertEqual(row["protocol"], "resize 28, centre crop 28")
        self.assertTrue(0 <= row["top1"] <= row["top5"] <= 1)
        self.assertAlmostEqual(row["stderr"], (row["top1"] * (1 - row["top1"]) / 29) ** 0.5)
        out, _ = self.run_aot("eval", "top1", "--model", one, "--model", two, "--data", data, "--json", "--batch", "7")
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([line["model"] for line in rows], [one, two])
        self.assertEqual(rows[0]["top1"], row["top1"])
        self.assertAlmostEqual(rows[0]["loss"], row["loss"], places=5)
        self.assertNotEqual(rows[0]["loss"], rows[1]["loss"])
        out, _ = self.run_aot("eval", "top1", "--model", one, "--model", two, "--data", data, "--images", "10", "--split", "train")
        self.assertEqual(len(out.splitlines()), 3)
        self.assertIn(f"{100 * self.top1_of_first_ten(one, data):.2f} %", out)

    def top1_of_first_ten(self, model, data):
        row = self.json_of("eval", "top1", "--model", model, "--data", data, "--images", "10", "--split", "train", "--json")
        self.assertEqual(row["count"], 10)
        return row["top1"]

    def test_another_size_is_resized(self):
        model = self.checkpoint("small-digits", {**DIGITS, "image_size": 14})
        row = self.json_of("eval", "top1", "--model", model, "--data", self.data("digits"), "--resize", "16", "--json")
        self.assertEqual(row["protocol"], "resize 16, centre crop 14")

    def test_features_by_neighbours_and_by_a_linear_classifier(self):
        model, data = self.checkpoint("digits", DIGITS), self.data("digits")
        knn = self.json_of("eval", "knn", "--model", model, "--data", data, "--json")
        self.assertEqual((knn["task"], knn["protocol"], knn["count"], knn["train"], knn["loss"]), ("knn", "cosine, k = 20, exp(s / 0.07)", 30, 30, None))
        probe = self.json_of("eval", "linear-probe", "--model", model, "--data", data, "--json")
        self.assertEqual((probe["task"], probe["count"], probe["converged"]), ("linear-probe", 30, True))
        self.assertIn("standardised", probe["protocol"])
        # Features need no head of the same classes.
        other = self.checkpoint("other-classes", {**DIGITS, "classes": 3})
        self.assertEqual(self.json_of("eval", "knn", "--model", other, "--data", data, "--json")["count"], 30)
        self.assertIn("has 10 classes, the model knows 3", self.error_of("eval", "top1", "--model", other, "--data", data, "--quiet", code=3))

    def test_segmentation_chooses_on_one_half_and_measures_on_the_other(self):
        model, data = self.checkpoint("shapes", SHAPES), self.data("shapes")
        row = self.json_of("eval", "segmentation", "--model", model, "--data", data, "--json", "--batch", "8")
        self.assertEqual((row["task"], row["protocol"], row["count"], row["chosen_on"]), ("segmentation", "best-head", 15, 15))
        for score in (row, row["permuted_heads"], row["random_projections"]):
            self.assertLessEqual(0, score["iou"])
            self.assertLessEqual(score["iou"], 1)
            self.assertIn(score["layer"], (1, 2))
            self.assertIn(score["head"], (1, 2, 3))
        self.assertEqual(row["whole_picture"]["iou"], row["whole_picture"]["pixel_accuracy"])
        out, _ = self.run_aot("eval", "segmentation", "--model", model, "--data", data, "--images", "20")
        self.assertIn("10 pictures, head and threshold chosen on 10 others", out)
        grey = self.checkpoint("digits", DIGITS)
        self.assertIn("no masks", self.error_of("eval", "segmentation", "--model", grey, "--data", self.data("digits"), "--quiet", code=3))

    def test_heat_maps_are_pictures_and_a_page(self):
        model, data, out = self.checkpoint("shapes", SHAPES), self.data("shapes"), self.path / "maps"
        row = self.json_of("explain", "heatmaps", "--model", model, "--data", data, "--images", "3", "--out", str(out), "--json")
        self.assertEqual({path.name for path in out.iterdir()}, {"index.html", "layer-01.png", "layer-02.png"})
        self.assertEqual([layer["file"] for layer in row["layers"]], ["layer-01.png", "layer-02.png"])
        self.assertEqual([len(layer["gain"]) for layer in row["layers"]], [3, 3])
        for layer in row["layers"]:
            png = (out / layer["file"]).read_bytes()
            self.assertEqual(struct.unpack(">II", png[16:24]), (5 * 98 - 2, 3 * 98 - 2))
        page = (out / "index.html").read_text()
        self.assertEqual(page.count("data:image/png;base64,"), 2)
        for outside in ("http:", "https:", "<script", "src=\"layer"):
            self.assertNotIn(outside, page)
        one = self.path / "one"
        self.run_aot("explain", "heatmaps", "--model", model + "/", "--data", data, "--images", "2", "--layer", "2", "--out", str(one))
        self.assertEqual({path.name for path in one.iterdir()}, {"index.html", "layer-02.png"})
        self.assertIn("<title>Heads of shapes</title>", (one / "index.html").read_text())

    def test_inspect_of_presets_and_checkpoints(self):
        row = self.json_of("inspect", "--preset", "aot-mssa-v", "--json")
        self.assertEqual(row["parameters"], 22021608)
        self.assertEqual(row["parameters"], sum(row["groups"].values()))
        self.assertEqual(row["memory"]["decode_state"], 0)
        row = self.json_of("inspect", "--preset", "vit-digits", "--classes", "7", "--layers", "2", "--json")
        self.assertEqual(row["shapes"]["head"], [7, 64])
        row = self.json_of("inspect", self.checkpoint("digits", DIGITS), "--json")
        self.assertEqual(row["shapes"]["position"], [17, 12])
        text, _ = self.run_aot("inspect", "--preset", "crate-digits", "--batch", "128")
        self.assertIn("7 x 7 patches of 4 pixels, and a class token", text)
        self.assertIn("ISTA", text)
        self.assertIn("vit-s ", self.run_aot("inspect", "--preset", "list")[0])
        for words, message in [
            (["--preset", "vit-digits", "--context", "5"], "--context is not for models of the task vision"),
            (["--preset", "gpt2-tiny", "--patch", "5"], "--patch is not for models of the task language"),
            (["--preset", "vit-digits", "--tokens", "5"], "--tokens is for language models"),
            (["--preset", "vit-digits", "--patch", "5"], "patches of 5 do not divide pictures of 28"),
        ]:
            with self.subTest(words):
                self.assertIn(message, self.error_of("inspect", *words, code=2))

    def test_refusals(self):
        model, data, out = self.checkpoint("digits", DIGITS), self.data("digits"), str(self.path / "refused")
        for words, message, code in (
            (["eval", "top1", "--data", data], "needs --model", 2),
            (["eval", "knn", "--model", model], "needs --data", 2),
            (["eval", "top1", "--model", model, "--data", "/nowhere"], "no such folder", 3),
            (["eval", "top1", "--model", model, "--data", model], "holds no pictures", 3),
            (["eval", "top1", "--model", "/nowhere", "--data", data], "no such file", 3),
            (["eval", "top1", "--model", model, "--data", data, "--resize", "20"], "--resize 20 is below", 2),
            (["eval", "top1", "--model", model, "--data", self.data("shapes")], "pictures of 3 channels, the model reads 1", 3),
            (["eval", "knn", "--model", model, "--data", self.data("shapes")], "channels, the model reads 1", 3),
            (["explain", "heatmaps", "--model", model, "--data", data], "needs --out", 2),
            (["explain", "heatmaps", "--model", model, "--data", data, "--out", out, "--layer", "3"], "the model has 2 layers", 2),
            (["explain", "heatmaps", "--model", model, "--data", data, "--out", out, "--layer", "0"], "need a layer from 1 on", 2),
            (["explain", "heatmaps", "--model", model, "--data", data, "--out", out, "--images", "0"], "found 0, need at least 1", 2),
            (["explain", "heatmaps", "--model", model, "--data", data, "--out", out, "--images", "65"], "found 65, need at most 64", 2),
            (["explain", "heatmaps", "--model", model, "--data", data, "--out", out, "--images", "1e12"], "--images", 2),
        ):
            with self.subTest(words):
                self.assertIn(message, self.error_of(*words, "--quiet", code=code))
        self.assertFalse(pathlib.Path(out).exists())


if __name__ == "__main__":
    unittest.main()
