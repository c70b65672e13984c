# SPDX-License-Identifier: Apache-2.0
"""Models made elsewhere, imported: logits of `aot` against Python's on the same weights."""
import json
import os
import signal
import subprocess
import sys
import time
import unittest

import plain
from support import AOT, InteropTest, load_exported, torch, write_safetensors

SHAPES = [  # layers, width, heads, context, vocabulary, bias
    (1, 32, 1, 16, 256, True),
    (3, 48, 3, 65, 256, False),
    (2, 40, 5, 33, 300, True),
]


class NanoGpt(InteropTest):
    def saved(self, name, weights, layers, width, heads, context, vocab, bias, prefix="", head=None):
        state = {prefix + key: tensor for key, tensor in weights.items()}
        state[prefix + "lm_head.weight"] = state[prefix + "transformer.wte.weight"] if head is None else head
        for layer in range(layers):  # older versions keep their causal mask
            state[f"{prefix}transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, context, context).tril()
        arguments = {"n_layer": layers, "n_head": heads, "n_embd": width, "block_size": context, "bias": bias, "vocab_size": vocab, "dropout": 0.0}
        moments = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.95), "params": [0]}]}
        path = self.folder / name
        torch.save({"model": state, "optimizer": moments, "model_args": arguments, "iter_num": 7, "best_val_loss": torch.tensor(1.5), "config": {"dataset": "x", "lr": 6e-4}}, path)
        return path

    def test_every_shape_with_and_without_the_prefix_of_compiled_models(self):
        for number, (layers, width, heads, context, vocab, bias) in enumerate(SHAPES):
            for prefix in ("", "_orig_mod."):
                with self.subTest(layers=layers, prefix=prefix):
                    weights = plain.gpt2_weights(self.generator, layers, width, context, vocab, bias)
                    path = self.saved(f"{number}{prefix}.pt", weights, layers, width, heads, context, vocab, bias, prefix)
                    out = self.folder / f"nanogpt-{number}{prefix}"
                    row = self.convert("--from", "nanogpt", path, out)
                    self.assertLessEqual(row["verify"]["max_relative"], 1e-5)
                    self.assertEqual(row["verify"]["top1_agreement"], 1)
                    self.assert_same_model(out, lambda ids: plain.gpt2(weights, ids, layers, heads), vocab)

    def test_a_head_of_its_own_stays_one(self):
        layers, width, heads, context, vocab, bias = SHAPES[1]
        weights = plain.gpt2_weights(self.generator, layers, width, context, vocab, bias)
        head = torch.randn(vocab, width, generator=self.generator)
        out = self.folder / "untied"
        self.convert("--from", "nanogpt", self.saved("untied.pt", weights, *SHAPES[1], head=head), out)
        self.assertFalse(json.loads((out / "config.json").read_text())["tie_embeddings"])
        self.assert_same_model(out, lambda ids: plain.gpt2(weights, ids, layers, heads, head=head), vocab)

    def test_bfloat16_halves_the_file_and_stays_near(self):
        layers, width, heads, context, vocab, bias = SHAPES[2]
        path = self.saved("half.pt", plain.gpt2_weights(self.generator, layers, width, context, vocab, bias), *SHAPES[2])
        row = self.convert("--from", "nanogpt", path, self.folder / "half", "--dtype", "bfloat16")
        self.assertLess(row["verify"]["max_relative"], 0.05)
        self.convert("--from", "nanogpt", path, self.folder / "full")
        sizes = [(self.folder / name / "model.safetensors").stat().st_size for name in ("half", "full")]
        self.assertLess(sizes[0], 0.7 * sizes[1])

    def test_int8_is_a_third_of_the_file_and_read_like_any_other(self):
        layers, width, heads, context, vocab, bias = SHAPES[2]
        path = self.saved("int8.pt", plain.gpt2_weights(self.generator, layers, width, context, vocab, bias), *SHAPES[2])
        packed, full, again = (self.folder / name for name in ("packed", "unpacked", "again"))
        row = self.convert("--from", "nanogpt", path, packed, "--dtype", "int8")
        self.assertLess(row["verify"]["max_relative"], 0.1)
        self.convert("--from", "nanogpt", path, full)
        self.assertLess((packed / "model.safetensors").stat().st_size, 0.4 * (full / "model.safetensors").stat().st_size)
        row = self.convert(packed, again)  # what int8 holds, in float32
        self.assertEqual(row["verify"]["max_relative"], 0)
        diff = json.loads(self.run_aot("inspect", "--diff", packed, again, "--json").stdout)
        self.assertEqual(diff["different"], 0)

    def test_it_goes_back_to_nanogpt(self):
        layers, width, heads, context, vocab, bias = SHAPES[0]
        weights = plain.gpt2_weights(self.generator, layers, width, context, vocab, bias)
        out, back = self.folder / "there", self.folder / "back.pt"
        self.convert("--from", "nanogpt", self.saved("there.pt", weights, *SHAPES[0]), out)
        self.convert(out, "--to", "nanogpt", back)
        checkpoint = torch.load(back)  # weights_only: nothing in it needs to be executed
        self.assertEqual(checkpoint["model_args"], {"n_layer": layers, "n_head": heads, "n_embd": width, "block_size": context, "vocab_size": vocab, "bias": bias, "dropout": 0.0})
        self.assertEqual(set(checkpoint), {"model", "model_args", "iter_num", "best_val_loss", "config"})
        for name, tensor in weights.items():
            self.assertTrue(torch.equal(checkpoint["model"][name], tensor), name)
        self.assertTrue(torch.equal(checkpoint["model"]["lm_head.weight"], weights["transformer.wte.weight"]))

    def test_what_cannot_be_is_refused(self):
        weights = plain.gpt2_weights(self.generator, 1, 32, 16, 256, True)
        path = self.saved("good.pt", weights, *SHAPES[0])
        cases = [(2, "int8 is for --to aot", ["--dtype", "int8", "--to", "nanogpt"], path), (3, "not a checkpoint of nanoGPT", [], self.folder / "other.pt"),
                 (3, "missing tensor", [], self.saved("missing.pt", {k: v for k, v in weights.items() if "mlp.c_fc.weight" not in k}, *SHAPES[0])),
                 (3, "unexpected tensor", [], self.saved("more.pt", {**weights, "transformer.extra": torch.ones(2)}, *SHAPES[0])),
                 (3, "non-finite", [], self.saved("nan.pt", {**weights, "transformer.ln_f.bias": torch.full((32,), float("nan"))}, *SHAPES[0])),
                 (3, "needs the shape", [], self.saved("shape.pt", {**weights, "transformer.ln_f.bias": torch.ones(31)}, *SHAPES[0]))]
        torch.save({"state": 1}, self.folder / "other.pt")
        for code, words, more, source in cases:
            with self.subTest(words):
                done = self.run_aot("convert", "--from", "nanogpt", source, self.folder / "refused", *more, code=code)
                self.assertIn(words, done.stderr)
                self.assertFalse((self.folder / "refused").exists())
        self.assertIn("never overwritten", self.run_aot("convert", "--from", "nanogpt", path, self.folder, code=2).stderr)


class Tost(InteropTest):
    def saved(self, name, weights, layers, width, heads, context, vocab, bias, tssa, **arguments):
        state = {**weights, "lm_head.weight": weights["transformer.wte.weight"]}
        arguments = {"n_layer": layers, "n_head": heads, "n_embd": width, "block_size": context, "bias": bias, "vocab_size": vocab, "dropout": 0.0, "TSSA": tssa, **arguments}
        path = self.folder / name
        torch.save({"model": {"_orig_mod." + key: tensor for key, tensor in state.items()}, "model_args": arguments, "iter_num": 7, "config": {"TSSA": tssa}}, path)
        return path

    def weights(self, layers, width, heads, context, vocab, bias, tssa):
        return plain.tost_weights(self.generator, layers, width, heads, context, vocab, bias, tssa)

    def test_every_shape_with_statistics_and_with_attention(self):
        for number, (layers, width, heads, context, vocab, bias) in enumerate(SHAPES):
            for tssa in (True, False):
                with self.subTest(layers=layers, tssa=tssa):
                    weights = self.weights(layers, width, heads, context, vocab, bias, tssa)
                    path, out = self.saved(f"{number}-{tssa}.pt", weights, *SHAPES[number], tssa), self.folder / f"tost-{number}-{tssa}"
                    row = self.convert("--from", "tost", path, out)
                    self.assertLessEqual(row["verify"]["max_relative"], 1e-5)
                    self.assert_same_model(out, lambda ids: plain.tost(weights, ids, layers, heads, tssa), vocab)
                    settings = json.loads((out / "config.json").read_text())
                    self.assertEqual([settings[key] for key in ("mixer", "block", "step_size")], ["tssa" if tssa else "mhsa", "gpt2", "channel"])
                    exported = self.folder / f"tost-hf-{number}-{tssa}"
                    self.convert(out, "--to", "hf", exported)
                    model, ids = load_exported(exported), torch.arange(2 * min(context, 60)).remainder(vocab).view(2, -1)
                    with torch.no_grad():
                        self.assert_near(model(ids).logits, plain.tost(weights, ids, layers, heads, tssa))

    def test_what_our_model_does_not_have_is_refused_by_key(self):
        shape = SHAPES[0]
        biased = self.weights(*shape, True)
        biased["transformer.h.0.attn.c_attn.bias"][3] = 1
        no_gamma = {key: tensor for key, tensor in self.weights(*shape, True).items() if "gamma2" not in key}
        long_bias = self.weights(*shape, True)
        long_bias["transformer.h.0.attn.denom_bias"] = torch.zeros(1, 32, 1)
        torch.save({"model": {"patch_embed.proj.0.0.weight": torch.zeros(2, 3, 3, 3), "cls_token": torch.zeros(1, 1, 2)}}, self.folder / "vision.pth")
        nanogpt = self.folder / "nanogpt.pt"
        torch.save({"model": {}, "model_args": {"n_layer": 1, "n_head": 1}}, nanogpt)
        for path, words in ((self.saved("biased.pt", biased, *shape, True), "c_attn.bias"), (self.saved("gamma.pt", no_gamma, *shape, True), "gamma2': missing tensor"),
                            (self.saved("long.pt", long_bias, *shape, True), "denom_bias': needs the shape"), (self.folder / "vision.pth", "patch_embed.proj.0.0.weight"),
                            (nanogpt, "key 'model_args.TSSA'"), (self.saved("kind.pt", self.weights(*shape, False), *shape, True), "c_attn.weight': needs the shape")):
            with self.subTest(words):
                self.assertIn(words, self.run_aot("convert", "--from", "tost", path, self.folder / "refused", code=3).stderr)
                self.assertFalse((self.folder / "refused").exists())
        path = self.saved("as-nanogpt.pt", self.weights(*shape, True), *shape, True)
        self.assertIn("c_attn.weight': needs the shape", self.run_aot("convert", "--from", "nanogpt", path, self.folder / "refused", code=3).stderr)


class Gpt2(InteropTest):
    def saved(self, name, weights, heads, layers, shards=1, prefix="transformer.", **settings):
        """A folder as transformers writes it: linear maps (in, out)."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_head": heads, "n_layer": layers, "architectures": ["GPT2LMHeadModel"], **settings}))
        turned = {prefix + key[len("transformer."):]: tensor.t() if ".c_" in key and tensor.dim() == 2 else tensor for key, tensor in weights.items()}
        if shards == 1:
            write_safetensors(folder / "model.safetensors", turned)
        else:
            names = sorted(turned)
            places = {key: f"model-{number % shards + 1:05}-of-{shards:05}.safetensors" for number, key in enumerate(names)}
            for file in set(places.values()):
                write_safetensors(folder / file, {key: turned[key] for key in names if places[key] == file})
            (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
        return folder

    def test_every_shape_and_both_gelus(self):
        for number, (layers, width, heads, context, vocab, _) in enumerate(SHAPES):
            for activation, approximate, prefix, shards in [(None, "tanh", "", 1), ("gelu", "none", "transformer.", 3)]:
                with self.subTest(layers=layers, activation=activation):
                    weights = plain.gpt2_weights(self.generator, layers, width, context, vocab, True)
                    settings = {} if activation is None else {"activation_function": activation}
                    source = self.saved(f"{number}-{activation}", weights, heads, layers, shards, prefix, **settings)
                    out = self.folder / f"gpt2-{number}-{activation}"
                    self.assertLessEqual(self.convert("--from", "gpt2", source, out)["verify"]["max_relative"], 1e-5)
                    self.assert_same_model(out, lambda ids: plain.gpt2(weights, ids, layers, heads, approximate), vocab)

    def test_it_goes_back_to_transformers(self):
        layers, width, heads, context, vocab, _ = SHAPES[2]
        weights = plain.gpt2_weights(self.generator, layers, width, context, vocab, True)
        source = self.saved("source", weights, heads, layers)
        self.convert("--from", "gpt2", source, "--to", "gpt2", self.folder / "again")
        self.convert("--from", "gpt2", self.folder / "again", self.folder / "twice")
        self.assert_same_model(self.folder / "twice", lambda ids: plain.gpt2(weights, ids, layers, heads, "tanh"), vocab)

    def test_settings_that_change_the_formulas_are_refused(self):
        weights = plain.gpt2_weights(self.generator, 1, 32, 16, 256, True)
        for number, (settings, words) in enumerate([({"activation_function": "relu"}, "activation_function"), ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon"),
                                                    ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"), ({"n_inner": 64}, "n_inner")]):
            with self.subTest(words):
                source = self.saved(f"bad-{number}", weights, 1, 1, **settings)
                self.assertIn(words, self.run_aot("convert", "--from", "gpt2", source, self.folder / "refused", code=3).stderr)

    def test_a_tokenizer_that_cannot_be_read_is_a_warning(self):
        source = self.saved("no-tokenizer", plain.gpt2_weights(self.generator, 1, 32, 16, 256, True), 1, 1)
        (source / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Unigram"}}')
        done = self.run_aot("convert", "--from", "gpt2", source, self.folder / "without", "--json")
        self.assertFalse(json.loads(done.stdout)["tokenizer"])
        self.assertIn("warning: ", done.stderr)
        self.assertIn("tokenizer.json", done.stderr)
        self.assertFalse((self.folder / "without" / "tokenizer.json").exists())

    def test_shards_are_plain_names(self):
        source = self.saved("shards", plain.gpt2_weights(self.generator, 1, 32, 16, 256, True), 1, 1, shards=2)
        index = source / "model.safetensors.index.json"
        index.write_text(index.read_text().replace("model-00001", "../model-00001"))
        self.assertIn("not a plain file name", self.run_aot("convert", "--from", "gpt2", source, self.folder / "refused", code=3).stderr)


class Others(InteropTest):
    def test_transformer_lens(self):
        for layers, width, heads, head_dim, context, vocab in [(1, 32, 2, 16, 24, 256), (4, 24, 3, 10, 17, 260)]:
            with self.subTest(layers=layers):
                weights = plain.lens_weights(self.generator, layers, width, heads, head_dim, context, vocab)
                path, out = self.folder / f"attn-only-{layers}l.pth", self.folder / f"lens-{layers}"
                torch.save(weights, path)
                self.assertLessEqual(self.convert("--from", "transformerlens", path, out)["verify"]["max_relative"], 1e-5)
                self.assert_same_model(out, lambda ids: plain.lens(weights, ids, layers), vocab)

    def test_a_bias_of_the_head_is_refused(self):
        weights = plain.lens_weights(self.generator, 1, 32, 2, 16, 24, 256)
        weights["unembed.b_U"] += 1
        torch.save(weights, self.folder / "folded.pth")
        self.assertIn("unembed.b_U", self.run_aot("convert", "--from", "transformerlens", self.folder / "folded.pth", self.folder / "refused", code=3).stderr)

    def test_crate(self):
        """--verify compares with CRATE's own formulas; pictures are not read by a command yet."""
        for number, (channels, prefix, key) in enumerate([(3, "", None), (1, "module.", "state_dict")]):
            with self.subTest(channels=channels):
                weights = {prefix + name: tensor for name, tensor in plain.crate_weights(self.generator, 2, 32, 4, 4, 3, channels, 7).items()}
                path = self.folder / f"crate-{number}.pth"
                torch.save({"epoch": 3, key: weights, "best_acc1": torch.tensor(0.5)} if key else weights, path)
                row = self.convert("--from", "crate", path, self.folder / f"crate-{number}", "--heads", 4)
                self.assertEqual(row["task"], "vision")
                self.assertLessEqual(row["verify"]["max_relative"], 1e-5)
                self.assertIn("give --heads", self.run_aot("convert", "--from", "crate", path, self.folder / "refused", code=2).stderr)


class Memory(InteropTest):
    # In a process of its own: a child's peak counts what its parent held when it was started, and here that is all of torch.
    LAUNCHER = """import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)"""

    def peak(self, *arguments, code=0):
        """Resident bytes at most."""
        command = [sys.executable, "-S", "-c", self.LAUNCHER, AOT, *map(str, arguments), "--quiet", "--threads", "1"]
        found, kilobytes = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        self.assertEqual(found, code, arguments)
        return kilobytes * 1024

    @classmethod
    def saved(cls, name, layers, width, heads, context, vocab):
        weights = plain.gpt2_weights(cls.generator, layers, width, context, vocab, True, deviation=0.02)
        arguments = {"n_layer": layers, "n_head": heads, "n_embd": width, "block_size": context, "bias": True, "vocab_size": vocab, "dropout": 0.0}
        torch.save({"model": {**weights, "lm_head.weight": weights["transformer.wte.weight"]}, "model_args": arguments}, cls.folder / name)
        return cls.folder / name

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.saved("large.pt", 12, 512, 8, 64, 20000)

    def test_a_stop_leaves_nothing_and_the_next_one_clears_what_a_killed_one_left(self):
        place = self.folder / "stopped"
        place.mkdir()
        arguments = ["convert", "--from", "nanogpt", self.path, place / "out"]
        for number, code in [(signal.SIGTERM, 143), (signal.SIGKILL, -9)]:
            process = subprocess.Popen([AOT, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not list(place.iterdir()):
                time.sleep(0.005)
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=60), code)
            self.assertEqual(len(list(place.iterdir())), 1 if number == signal.SIGKILL else 0)
        self.run_aot(*arguments)
        self.assertEqual([path.name for path in place.iterdir()], ["out"])

    def test_a_checkpoint_passes_tensor_by_tensor(self):
        idle = self.peak("convert", "--from", "nanogpt", self.folder / "absent.pt", self.folder / "none", code=3)
        gpt2 = self.folder / "large-gpt2"
        self.run_aot("convert", "--from", "nanogpt", self.path, gpt2, "--to", "gpt2")
        table = self.saved("table.pt", 1, 512, 8, 64, 50000)  # most of it one tensor
        sources = (("nanogpt", self.path), ("nanogpt", self.path, "--dtype", "bfloat16"), ("nanogpt", table), ("gpt2", gpt2))
        for number, (source, path, *more) in enumerate(sources):
            with self.subTest(path=path.name, more=more):
                size = (path / "model.safetensors" if path.is_dir() else path).stat().st_size
                taken = self.peak("convert", "--from", source, path, self.folder / f"large-{number}", *more) - idle
                print(f"{size / 2**20:.0f} MiB of {path.name} imported with {taken / 2**20:.0f} MiB {' '.join(more)}", file=sys.stderr)
                self.assertLessEqual(taken, max(1.1 * size, size + 64 * 2**20))


if __name__ == "__main__":
    unittest.main()
