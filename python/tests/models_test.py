# SPDX-License-Identifier: Apache-2.0
"""Trained models in Python: the C++ one and the plain one, texts, taps, errors, signals, threads."""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

from support import AOT, TrainedTest, torch

import aot

MODELS = {
    "mssa": ["--mixer", "mssa"],
    "mssa-gated": ["--mixer", "mssa", "--gate", "silu", "--norm", "rms", "--step-size", "channel", "--bias", "--output", "tied"],
    "gpt2": ["--mixer", "mhsa", "--block", "gpt2", "--no-rotary", "--position", "learned", "--bias", "--no-tie-embeddings"],
    "tssa": ["--mixer", "tssa", "--no-rotary", "--position", "sincos"],
}
IDS = torch.tensor([list(b"the cat sat on"), list(b"on the log; th")])


class Language(TrainedTest):
    def load(self, name):
        return aot.load(self.trained(name, *MODELS[name]))

    def test_both_ways_give_the_same_logits(self):
        real = torch.ones_like(IDS, dtype=torch.bool)
        real[1, -3:] = False
        for name in MODELS:
            with self.subTest(name), torch.no_grad():
                ours, plain = self.load(name), aot.torch.load(self.trained(name, *MODELS[name]))
                self.assert_near(ours(IDS), plain(IDS))
                self.assert_near(ours(IDS, key_mask=real)[real], plain(IDS, key_mask=real)[real])
                self.assertEqual(set(ours.parameters()), set(dict(plain.named_parameters())))
                self.assertEqual(vars(plain.config), ours.settings)

    def test_gradients_of_both_ways_agree(self):
        ours, plain = self.load("mssa"), aot.torch.load(self.trained("mssa"))
        targets = IDS.roll(-1, 1)
        ours.loss(IDS, targets).backward()
        torch.nn.functional.cross_entropy(plain(IDS).flatten(0, 1), targets.flatten()).backward()
        for name, parameter in plain.named_parameters():
            self.assert_near(ours.parameters()[name].grad, parameter.grad, 1e-4)

    def test_the_text_is_that_of_the_command(self):
        run = self.trained("mssa")
        model = aot.load(run)
        wanted = self.json_of("generate", "--model", run, "--prompt", "the", "--tokens", 30, "--n", 3, "--seed", 7, "--top-k", 5, "--logprobs", 2)
        found = model.generate("the", 30, n=3, seed=7, top_k=5, logprobs=2)
        for sample, row in zip(found, wanted):
            self.assertEqual((sample.text, sample.ids, sample.finish, sample.seed), (row["text"], row["ids"], row["finish"], row["seed"]))
            self.assertEqual([place[0][0] for place in sample.logprobs], sample.ids)
        self.assertEqual(str(model.generate(b"the", 30, seed=7, top_k=5)), found[0].text)
        self.assertEqual(model.generate("the", 30, seed=7, stop=["a"]).finish, "stop")
        self.assertEqual(len(model.generate("the", 12, greedy=True, dtype="int8").ids), 12)

    def test_the_cache_holds_what_the_layers_made(self):
        model = self.load("mssa")
        with torch.no_grad():
            logits, cache = model.run_with_cache(IDS, ["embedding", "layers.*.residual", "layers.1.weights"])
            self.assertEqual(set(cache), {"embedding", "layers.0.residual", "layers.1.residual", "layers.1.weights"})
            self.assertEqual(cache["layers.1.weights"].shape, (2, 2, 14, 14))
            self.assert_near(cache["layers.1.weights"].sum(-1), torch.ones(2, 2, 14))
            self.assert_near(logits, model(IDS))
            self.assertEqual(set(model.run_with_cache(IDS)[1]), set(model.places()))
            _, cache = model.run_with_cache(IDS, "layers.0.heads")
        self.assertEqual([tuple(value.shape) for value in cache.values()], [(2, 2, 14, 16)])

    def test_hooks_replace_by_name(self):
        model = self.load("mssa")
        heard = []
        with torch.no_grad():
            whole, before = model.run_with_cache(IDS, "layers.*.residual")
            silence = {"layers.1.update": lambda value, name: heard.append(name) or 0 * value}
            without, after = model.run_with_cache(IDS, "layers.*.residual", hooks=silence)
            self.assertEqual(heard, ["layers.1.update"])
            self.assert_near(after["layers.1.residual"], before["layers.0.residual"])
            self.assertGreater(float((whole - without).abs().max()), 1e-3)
            self.assert_near(model(IDS, hooks={"layers.*.heads": lambda value, name: None}), whole, 1e-6)
            patched = model(IDS, hooks={"layers.0.residual": lambda value, name: before["layers.0.residual"].flip(0)})
            self.assert_near(patched, whole.flip(0))
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            model(IDS, hooks={"layers.0.heads": lambda value, name: 1 / 0})
        for hook in (lambda value, name: 3, lambda value, name: value[:1]):
            with self.assertRaises((TypeError, ValueError)) as caught:
                model(IDS, hooks={"layers.0.heads": hook})
            self.assertIn("layers.0.heads", str(caught.exception))
        with self.assertRaisesRegex(ValueError, r"no place 'layers.2.heads'.*layers.N.\(heads, .*N below 2"):
            model.run_with_cache(IDS, ["layers.2.heads"])

    def test_gradients_reach_what_a_hook_lets_in(self):
        model = self.load("mssa")
        scale = torch.ones((), requires_grad=True)
        model(IDS, hooks={"layers.0.update": lambda value, name: value * scale}).square().mean().backward()
        self.assertNotEqual(float(scale.grad), 0)

    def test_errors_have_the_commands_words(self):
        broken = self.folder / "broken"
        broken.mkdir(exist_ok=True)
        checkpoint = pathlib.Path(self.load("mssa").path)
        for name in ("config.json", "model.safetensors"):
            (broken / name).write_bytes((checkpoint / name).read_bytes())
        (broken / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:-8])
        for load in (aot.load, aot.torch.load):
            with self.assertRaises(OSError) as caught:
                load(broken)
            done = subprocess.run([AOT, "generate", "--model", broken], capture_output=True, text=True, check=False)
            self.assertIn(str(caught.exception), done.stderr)
            with self.assertRaisesRegex(FileNotFoundError, "no such file"):
                load(self.folder / "nowhere")
        model = self.load("mssa")
        cases = [
            ("ids must be", lambda: model(IDS.float())),
            ("did you mean 'top_k'", lambda: model.generate("x", 1, topk=3)),
            ("too small", lambda: model.generate("x", 1, top_k=-1)),
            ("need a number", lambda: model.generate("x", 1, temperature="hot")),
            ("stop string", lambda: model.generate("x", 1, stop=[""])),
            ("seed", lambda: model.generate("x", 1, seed=-1)),
        ]
        for words, call in cases:
            with self.subTest(words), self.assertRaises(ValueError) as caught:
                call()
            self.assertIn(words, str(caught.exception))
        self.assertNotIn("C++", str(caught.exception))

    def test_ctrl_c_stops_long_work(self):
        program = (
            "import sys, aot; model = aot.load(sys.argv[1])\n"
            "print('ready', flush=True)\n"
            "try:\n  model.generate('the', 10**7, seed=1)\n"
            "except KeyboardInterrupt:\n  print('stopped', flush=True)\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.environ["AOT_PACKAGE"]}
        child = subprocess.Popen([sys.executable, "-c", program, self.trained("mssa")], stdout=subprocess.PIPE, text=True, env=environment)
        self.assertEqual(child.stdout.readline(), "ready\n")
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.communicate(timeout=20)[0], "stopped\n")

    def test_other_threads_go_on(self):
        model, seen = self.load("mssa"), []
        thread = threading.Thread(target=lambda: seen.append(model.generate("the", 3000, seed=1)))
        thread.start()
        turns = 0
        while thread.is_alive():
            turns += 1
            time.sleep(0.001)
        self.assertGreater(turns, 20)
        self.assertEqual(len(seen[0].ids), 3000)


class OtherTasks(TrainedTest):
    def test_pictures(self):
        self.run_aot("data", "make", "digits", "--count", 200, "--seed", 1, "--out", self.folder / "digits")
        small = ["--layers", 1, "--width", 32, "--heads", 2, "--steps", 2, "--batch", 4, "--threads", 2, "--quiet", "--seed", 1]
        self.run_aot("train", "--data", self.folder / "digits", "--out", self.folder / "seen", "--preset", "aot-mssa-v-digits", *small)
        model = aot.load(self.folder / "seen")
        self.assertIsInstance(model, aot.VisionModel)
        side = model.settings["image_size"]
        logits, cache = model.run_with_cache(torch.zeros(2, 1, side, side), "layers.0.weights")
        self.assertEqual(logits.shape, (2, 10))
        self.assertEqual(cache["layers.0.weights"].shape[:2], (2, 2))
        with self.assertRaisesRegex(OSError, "holds a model for vision"):
            aot.torch.load(self.folder / "seen")

    def test_functions_in_context(self):
        small = ["--layers", 1, "--width", 32, "--steps", 2, "--batch", 4, "--threads", 2, "--quiet", "--seed", 1]
        self.run_aot("train", "--out", self.folder / "icl", "--preset", "icl-mssa-small", "--problem", "linear", *small)
        model = aot.load(self.folder / "icl")
        points = torch.randn(3, 4, model.settings["dims"]), torch.randn(3, 4)
        predictions, cache = model.run_with_cache(points, "layers.0.residual")
        self.assertEqual(predictions.shape, (3, 4))
        self.assertEqual(cache["layers.0.residual"].shape[1], 8)


if __name__ == "__main__":
    unittest.main()
