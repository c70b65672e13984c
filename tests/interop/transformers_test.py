# SPDX-License-Identifier: Apache-2.0
"""transformers' own GPT2LMHeadModel, both ways. Where this Python has no transformers, tests/interop/plain.py stands for it in the other tests."""
import json
import unittest

from support import InteropTest, load_exported, torch

try:
    from transformers import GPT2Config, GPT2LMHeadModel
except ImportError:  # none, or the stub
    GPT2LMHeadModel = None

CONFIGS = [
    {"n_layer": 1, "n_embd": 32, "n_head": 1, "n_positions": 16, "vocab_size": 256},
    {"n_layer": 3, "n_embd": 48, "n_head": 3, "n_positions": 65, "vocab_size": 256, "activation_function": "gelu"},
    {"n_layer": 2, "n_embd": 40, "n_head": 5, "n_positions": 33, "vocab_size": 300, "tie_word_embeddings": False},
    {"n_layer": 6, "n_embd": 96, "n_head": 6, "n_positions": 128, "vocab_size": 1000},
]
PROMPTS = ("t", "the cat", "the cat sat on t")


@unittest.skipIf(GPT2LMHeadModel is None, "no transformers in this Python: see tests/SKIPPED.md")
class Transformers(InteropTest):
    def model(self, name, shards=False, **settings):
        """A model of random weights, far from where training starts, and the folder that it saves itself into."""
        model = GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None, **settings)).eval()
        deviation = 0.2 if settings["n_layer"] < 4 else 0.05
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=self.generator) * deviation)
        folder = self.folder / name
        model.save_pretrained(folder, max_shard_size="40KB" if shards else "1GB")
        return model, folder

    def assert_same_logits(self, a, b, settings):
        ids = torch.arange(2 * settings["n_positions"]).mul(7919).remainder(settings["vocab_size"]).view(2, -1)
        with torch.no_grad():
            self.assert_near(a(ids).logits, b(ids).logits)

    def test_its_models_come_in_and_go_out_again(self):
        for number, settings in enumerate(CONFIGS):
            for shards in (False, True):
                with self.subTest(shards=shards, **settings), torch.no_grad():
                    name = f"{number}-{shards}"
                    theirs, source = self.model(f"theirs-{name}", shards, **settings)
                    self.assertEqual((source / "model.safetensors.index.json").exists(), shards)
                    ours = self.folder / f"ours-{name}"
                    self.assertLessEqual(self.convert("--from", "gpt2", source, ours)["verify"]["max_relative"], 1e-5)
                    for prompt in PROMPTS:
                        self.assert_same_model(ours, lambda ids: theirs(ids).logits, settings["vocab_size"], prompt)
                    for target, load in (("gpt2", GPT2LMHeadModel.from_pretrained), ("hf", load_exported)):
                        out = self.folder / f"{target}-{name}"
                        self.convert(ours, "--to", target, out)
                        self.assert_same_logits(load(out).eval(), theirs, settings)

    def test_a_run_of_ours_opens_as_its_model(self):
        run, out = self.folder / "run", self.folder / "run-gpt2"
        flags = ["--mixer", "mhsa", "--block", "gpt2", "--no-rotary", "--position", "learned", "--activation", "gelu-tanh", "--bias"]
        size = ["--width", 48, "--layers", 3, "--heads", 3, "--context", 32, "--steps", 20, "--batch", 4, "--lr", 0.02, "--warmup", 2, "--seed", 1, "--threads", 1, "--quiet"]
        self.run_aot("train", "--data", self.folder / "text", "--out", run, *size, *flags)
        self.convert(run, "--to", "gpt2", out)
        model = GPT2LMHeadModel.from_pretrained(out).eval()
        self.assertEqual(json.loads((out / "config.json").read_text())["activation_function"], "gelu_new")
        with torch.no_grad():
            for prompt in PROMPTS:
                self.assert_same_model(run / "checkpoints" / "last", lambda ids: model(ids).logits, 256, prompt)


if __name__ == "__main__":
    unittest.main()
