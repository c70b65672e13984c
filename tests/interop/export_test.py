# SPDX-License-Identifier: Apache-2.0
"""Models of `aot` exported: the Python files of the folder against `aot` itself, for everything a language model can be made of."""
import json
import unittest

from support import InteropTest, load_exported, read_safetensors, torch, write_safetensors

MODELS = {
    "mssa": ["--mixer", "mssa"],
    "mssa-tied": ["--mixer", "mssa", "--output", "tied", "--no-rotary", "--position", "learned", "--step-size", "scalar", "--step-init", "0.5"],
    "mssa-gated": ["--mixer", "mssa", "--gate", "silu", "--norm", "rms", "--step-size", "channel", "--bias"],
    "mhsa": ["--mixer", "mhsa", "--bias", "--no-tie-embeddings", "--position", "sincos", "--head-dim", "10"],
    "mhsa-plain": ["--mixer", "mhsa", "--norm", "none", "--step-init", "0.3"],
    "gpt2": ["--mixer", "mhsa", "--block", "gpt2", "--no-rotary", "--position", "learned", "--activation", "gelu-tanh"],
    "mssa-gpt2": ["--mixer", "mssa", "--block", "gpt2", "--bias", "--step-size", "channel", "--gate", "silu", "--output", "tied"],
    "tssa": ["--mixer", "tssa", "--no-rotary", "--position", "learned", "--bias"],
}
SIZE = ["--width", 32, "--layers", 3, "--heads", 2, "--context", 24, "--steps", 3, "--batch", 2, "--lr", 0.1, "--warmup", 1, "--eval-windows", 1, "--seed", 1, "--threads", 1, "--quiet"]


class Export(InteropTest):
    def trained(self, name):
        run = self.folder / f"run-{name}"
        if not run.exists():
            self.run_aot("train", "--data", self.folder / "text", "--out", run, *SIZE, *MODELS[name])
        return run

    def test_python_gives_the_same_logits(self):
        for name in MODELS:
            with self.subTest(name):
                out = self.folder / f"hf-{name}"
                self.convert(self.trained(name), "--to", "hf", out)
                model = load_exported(out)
                with torch.no_grad():
                    for prompt in ("t", "the cat", "the cat sat on the mat"):
                        self.assert_same_model(out, lambda ids: model(ids).logits, 256, prompt)

    def test_padding_on_the_left_changes_nothing(self):
        for name in ("mssa-gated", "mhsa", "tssa"):
            with self.subTest(name), torch.no_grad():
                out = self.folder / f"padded-{name}"
                self.convert(self.trained(name), "--to", "hf", out)
                model = load_exported(out)
                ids = torch.tensor([list(b"the cat")])
                padded, mask = torch.cat([torch.zeros(1, 5, dtype=torch.long), ids], 1), torch.tensor([[0] * 5 + [1] * 7])
                if name == "tssa":  # its biases count positions in the batch: right padding is what it can take
                    padded, mask = padded.roll(-5, 1), mask.roll(-5, 1)
                found = model(padded, attention_mask=mask).logits[mask.bool()]
                self.assert_near(found, model(ids).logits[0])

    def test_the_loss_is_that_of_the_next_token(self):
        out = self.folder / "loss"
        self.convert(self.trained("mssa"), "--to", "hf", out)
        ids = torch.tensor([list(b"the cat sat on the mat")])
        with torch.no_grad():
            found = load_exported(out)(ids, labels=ids)
        self.assertAlmostEqual(float(found.loss), float(torch.nn.functional.cross_entropy(found.logits[0, :-1], ids[0, 1:])), places=6)

    def test_the_folder_is_a_checkpoint_of_ours(self):
        out, back = self.folder / "hf-back", self.folder / "back"
        self.convert(self.trained("mssa"), "--to", "hf", out)
        self.assertEqual({path.name for path in out.iterdir()}, {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "configuration_aot.py",
                                                                "layers_aot.py", "modeling_aot.py", "manifest.json"})
        self.run_aot("inspect", out)
        self.convert(out, back)
        rows = json.loads(self.run_aot("inspect", "--diff", out, back, "--json").stdout)
        self.assertEqual(rows["different"], 0)

    def test_a_checkpoint_from_before_the_activation_was_a_setting_loads(self):
        out = self.folder / "older"
        self.convert(self.trained("mssa"), out)
        settings = json.loads((out / "config.json").read_text())
        del settings["activation"]
        (out / "manifest.json").unlink()
        (out / "config.json").write_text(json.dumps(settings))
        self.run_aot("inspect", out)

    def test_differences_are_shown_tensor_by_tensor(self):
        one, other = self.folder / "diff-one", self.folder / "diff-other"
        self.convert(self.trained("mssa"), one)
        other.mkdir()
        tensors = read_safetensors(one / "model.safetensors")
        tensors["embedding"][3, 4] += 0.25
        tensors["layers.0.norm.weight"] = torch.ones(5)
        tensors["more"] = tensors.pop("final_norm.weight")
        write_safetensors(other / "model.safetensors", tensors)
        done = self.run_aot("inspect", "--diff", one, other, "--json", code=1)
        rows = {row["tensor"]: row for row in json.loads(done.stdout)["tensors"]}
        self.assertEqual(set(rows), {"embedding", "layers.0.norm.weight", "more", "final_norm.weight"})
        self.assertAlmostEqual(rows["embedding"]["max_difference"], 0.25, places=5)
        self.assertIsNone(rows["more"]["shape_a"])
        self.assertEqual(rows["layers.0.norm.weight"]["shape_b"], [5])

    def test_differences_go_on_after_integers_and_nan(self):
        def diff(a, b, code):
            return json.loads(self.run_aot("inspect", "--diff", self.folder / a, self.folder / b, "--json", code=code).stdout)

        infinite = torch.tensor([1.0, float("inf")])
        tensors = {"infinite": infinite, "nan": torch.tensor([1.0, 2.0]), "steps": torch.tensor([1, 2]), "w": torch.ones(3)}
        write_safetensors(self.folder / "a.safetensors", tensors)
        write_safetensors(self.folder / "b.safetensors", {**tensors, "steps": torch.tensor([3, 4])})
        write_safetensors(self.folder / "c.safetensors", {**tensors, "nan": torch.tensor([1.0, float("nan")]), "w": torch.zeros(3)})
        write_safetensors(self.folder / "d.safetensors", {**tensors, "infinite": -infinite, "steps": torch.tensor([1])})
        self.assertEqual(diff("a.safetensors", "b.safetensors", 0), {"tensors_in_all": 4, "different": 0, "tensors": [], "compared_by_shape": ["steps"]})
        self.assertEqual([row["tensor"] for row in diff("a.safetensors", "c.safetensors", 1)["tensors"]], ["nan", "w"])
        self.assertEqual([row["tensor"] for row in diff("c.safetensors", "c.safetensors", 1)["tensors"]], ["nan"])
        self.assertEqual([row["tensor"] for row in diff("a.safetensors", "d.safetensors", 1)["tensors"]], ["infinite", "steps"])

    def test_models_of_another_kind_do_not_fit_nanogpt(self):
        for name, words in [("mssa", "block gpt2"), ("mssa-gpt2", "mixer mhsa"), ("gpt2", "gelu-tanh")]:
            self.assertIn(words, self.run_aot("convert", self.trained(name), "--to", "nanogpt", self.folder / "refused.pt", code=2).stderr)


if __name__ == "__main__":
    unittest.main()
