# SPDX-License-Identifier: Apache-2.0
"""aot data and aot tokenizer: what they print, memory, and a clean stop."""
import array
import json
import os
import pathlib
import signal
import struct
import subprocess
import tempfile
import time
import unittest

from command import COMMAND, CommandTest

SMALL_BPE = "gpt2:" + os.environ["AOT_SOURCE"] + "/tests/golden/small_bpe"
LINE = "The tokens of a layer are noisy points near a few subspaces, 12 of them.\n"


class Data(CommandTest):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def prepare(self, *arguments, tokenizer="byte"):
        out = str(self.folder / "out")
        return self.json_of("data", "prepare", *arguments, "--tokenizer", tokenizer, "--out", out, "--json"), out

    def test_prepared_bins_are_those_of_nanogpt(self):
        path = self.write("a.txt", "hello, world")
        facts, out = self.prepare(path, "--val", "0.25", tokenizer="char")
        self.assertEqual((facts["train_tokens"], facts["val_tokens"], facts["vocab_size"], facts["dtype"]), (9, 3, 9, "uint16"))
        characters = sorted(set("hello, world"))
        train, val = (array.array("H", (pathlib.Path(out) / f"{split}.bin").read_bytes()) for split in ("train", "val"))
        self.assertEqual("".join(characters[i] for i in train), "hello, wo")
        self.assertEqual("".join(characters[i] for i in val), "rld")

    def test_reads_stdin_and_json_lines(self):
        out = str(self.folder / "out")
        lines = '{"text": "h\\u00e9", "id": 1}\n{"text": "b"}\n'
        facts = self.json_of("data", "prepare", "-", "--field", "text", "--tokenizer", "byte", "--val", "0", "--out", out, "--json", stdin=lines)
        self.assertEqual((facts["train_tokens"], facts["text_bytes"]), (5, len(lines)))
        self.assertEqual(list(array.array("H", (pathlib.Path(out) / "train.bin").read_bytes())), list("h\u00e9\nb".encode()))
        self.assertEqual(json.loads((pathlib.Path(out) / "meta.json").read_text())["sources"], [{"name": "stdin", "bytes": len(lines)}])
        self.assertEqual(sorted(path.name for path in pathlib.Path(out).iterdir()), ["meta.json", "tokenizer.json", "train.bin"])
        again = str(self.folder / "again")
        self.assertIn("stdin: line 2, byte", self.error_of("data", "prepare", "-", "--field", "text", "--out", again, code=3, stdin='{"text": "a"}\n[}\n'))
        self.assertIn("stdin: empty file", self.error_of("data", "prepare", "-", "--out", again, code=3))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["out"])

    def test_inspect_counts_tokens_and_shows_them(self):
        _, out = self.prepare(self.write("a.txt", "aaab\x1b[2J" * 10), "--val", "0.5")
        facts = self.json_of("data", "inspect", out, "--json")
        self.assertEqual(facts["train"]["most_frequent"][0], {"id": 97, "count": 15, "text": "a"})
        self.assertEqual(facts["train"]["distinct"], 6)
        text, _ = self.run_aot("data", "inspect", out)
        self.assertIn("no prepared images", self.error_of("data", "inspect", out, "--sheet", "x.png", code=2))
        self.assertIn("'a' 37.5 %", text)
        self.assertNotIn("\x1b", text)

    def test_documents_are_separated_by_the_end_of_text_token(self):
        self.write("in/b/2.txt", "the tokens")
        self.write("in/1.txt", "a layer")
        self.write("in/.hidden/3.txt", "not this one")
        _, out = self.prepare(str(self.folder / "in"), "--val", "0", tokenizer=SMALL_BPE)
        ids = [self.json_of("tokenizer", "encode", text, "--tokenizer", out, "--json")["ids"] for text in ("a layer", "the tokens")]
        end = json.loads((pathlib.Path(SMALL_BPE[5:]) / "vocab.json").read_text())["<|endoftext|>"]
        self.assertEqual(list(array.array("H", (pathlib.Path(out) / "train.bin").read_bytes())), ids[0] + [end] + ids[1])

    def test_a_large_file_gives_the_ids_of_the_whole_text(self):
        # Several pieces of 4 MiB, and lines that differ so that the cuts fall everywhere.
        text = "".join(f"{i} they're  here,\n\n{'x' * (i % 50)} 'tis \u00e9\u3000{i}\t" for i in range(250_000))
        path = self.write("large.txt", text)
        self.assertGreater(os.path.getsize(path), 3 * 4 << 20)
        _, out = self.prepare(path, "--val", "0", tokenizer=SMALL_BPE)
        whole = self.json_of("tokenizer", "encode", "--file", path, "--tokenizer", SMALL_BPE, "--json")["ids"]
        self.assertEqual(array.array("H", (pathlib.Path(out) / "train.bin").read_bytes()), array.array("H", whole))

    def test_memory_does_not_grow_with_the_text(self):
        peaks = []
        for megabytes in (10, 100):
            path = self.write(f"{megabytes}.txt", LINE * (megabytes * 1_000_000 // len(LINE)))
            process = subprocess.Popen([COMMAND, "data", "prepare", path, "--tokenizer", SMALL_BPE, "--out", f"{path}.out", "--quiet"], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            peaks.append(usage.ru_maxrss)
        self.assertLess(peaks[1], 400 * 1024)
        self.assertLess(peaks[1] - peaks[0], 16 * 1024, "KiB more for ten times the text")

    def test_idx_images_are_packed_and_counted(self):
        for name, shape, data in (("images", [5, 2, 3], bytes(range(30))), ("labels", [5], b"\0\2\1\1\2")):
            (self.folder / name).write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + data)
        out = str(self.folder / "out")
        facts = self.json_of("data", "prepare", "--images", str(self.folder / "images"), "--labels", str(self.folder / "labels"), "--val-count", "2",
                             "--out", out, "--json")
        self.assertEqual((facts["height"], facts["width"], facts["channels"], facts["classes"]), (2, 3, 1, 3))
        facts = self.json_of("data", "inspect", out, "--json")
        self.assertEqual([facts[split]["per_class"] for split in ("train", "val")], [[1, 1, 1], [0, 1, 1]])
        self.assertEqual((self.folder / "out/val.images").read_bytes(), bytes(range(18, 30)))
        self.assertIn("2 images, as they were prepared", self.run_aot("data", "inspect", out)[0])

    def test_drawn_images_are_those_of_their_seed(self):
        outs = [str(self.folder / name) for name in ("a", "b", "c")]
        for out, seed in zip(outs, ("1", "1", "2")):
            facts = self.json_of("data", "make", "shapes", "--count", "10", "--size", "16", "--seed", seed, "--out", out, "--json")
            self.assertEqual((facts["train_images"], facts["val_images"], facts["masks"]), (9, 1, True))
        a, b, c = (self.json_of("data", "inspect", out, "--json")["train"]["sha256"] for out in outs)
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)
        sheet = self.folder / "sheet.png"
        self.run_aot("data", "inspect", outs[0], "--sheet", str(sheet))
        width, height = struct.unpack(">II", sheet.read_bytes()[16:24])
        self.assertEqual((width, height), (16 * 50 - 2, 2 * 50 - 2))  # nine pictures and their masks, 48 pixels and 2 between
        self.assertIn("never overwritten", self.error_of("data", "make", "digits", "--out", outs[0], code=2))

    def test_text_and_images_do_not_go_together(self):
        self.assertIn("not both", self.error_of("data", "prepare", "a.txt", "--images", "b", "--out", "c", code=2))
        self.assertIn("--labels", self.error_of("data", "prepare", "--images", "b", "--out", "c", code=2))
        self.assertIn("--tokenizer", self.error_of("data", "prepare", "--images", "b", "--tokenizer", "char", "--out", "c", code=2))
        for flag in (["--labels", "x"], ["--size", "3"], ["--skip-bad"], ["--val-count", "3"], ["--format", "idx"]):
            self.assertIn("is for --images", self.error_of("data", "prepare", "a.txt", *flag, "--out", "c", code=2))

    def test_a_stop_leaves_nothing(self):
        path = self.write("a.txt", LINE * 2_000_000)
        process = subprocess.Popen([COMMAND, "data", "prepare", path, "--tokenizer", SMALL_BPE, "--out", str(self.folder / "out")], stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        while process.poll() is None and not list(self.folder.glob(".tmp-*")):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual([entry.name for entry in self.folder.iterdir()], ["a.txt"])


    def test_a_stop_while_images_are_made_leaves_nothing(self):
        process = subprocess.Popen([COMMAND, "data", "make", "shapes", "--count", "1000000", "--seed", "1", "--out", str(self.folder / "out")],
                                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not list(self.folder.glob(".tmp-*")):
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 143)
        self.assertEqual(list(self.folder.iterdir()), [])

    def prepare_until_it_writes(self, path):
        before = set(self.folder.glob(".tmp-*"))
        process = subprocess.Popen([COMMAND, "data", "prepare", path, "--tokenizer", SMALL_BPE, "--out", str(self.folder / "out")],
                                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and set(self.folder.glob(".tmp-*")) == before:
            time.sleep(0.005)
        return process

    def test_the_next_one_clears_what_a_killed_one_left_and_nothing_of_a_living_one(self):
        path, small = self.write("a.txt", LINE * 2_000_000), self.write("b.txt", LINE * 100)
        living = self.prepare_until_it_writes(path)
        self.addCleanup(living.wait)
        self.addCleanup(living.kill)
        living.send_signal(signal.SIGSTOP)
        (of_the_living,) = self.folder.glob(".tmp-*")
        killed = self.prepare_until_it_writes(path)
        killed.kill()
        killed.wait()
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        self.assertEqual(len(list(self.folder.glob(".tmp-*"))), 2)
        self.run_aot("data", "prepare", small, "--tokenizer", "byte", "--out", str(self.folder / "out"))
        self.assertEqual(list(self.folder.glob(".tmp-*")), [of_the_living])


class Tokenizer(CommandTest):
    def test_encodes_from_argument_file_and_stdin(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("h\u00e9")
            file.flush()
            for arguments, stdin in ((["h\u00e9"], ""), (["--file", file.name], ""), ([], "h\u00e9")):
                out, _ = self.run_aot("tokenizer", "encode", *arguments, "--tokenizer", "byte", stdin=stdin)
                self.assertEqual(out, "104 195 169\n")

    def test_decode_undoes_encode(self):
        text = "  They're  12 tokens \U0001f642\n"
        for tokenizer in ("byte", SMALL_BPE):
            ids, _ = self.run_aot("tokenizer", "encode", text, "--tokenizer", tokenizer)
            self.assertEqual(self.run_aot("tokenizer", "decode", "--tokenizer", tokenizer, stdin=ids)[0], text)
            self.assertEqual(self.json_of("tokenizer", "decode", ids, "--tokenizer", tokenizer, "--json")["text"], text)

    def test_special_tokens_spelt_out_are_text_unless_asked_for(self):
        text = "a<|endoftext|>b"
        plain, special = (self.json_of("tokenizer", "encode", text, "--tokenizer", SMALL_BPE, *flag, "--json")["tokens"] for flag in ([], ["--special"]))
        self.assertEqual(special, 3)
        self.assertGreater(plain, 3)

    def test_trains_a_vocabulary_that_prepare_takes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "text.txt"
            path.write_text(LINE * 20)
            facts = self.json_of("tokenizer", "train", str(path), "--vocab", "300", "--out", folder + "/new/", "--json")
            self.assertEqual((facts["vocab_size"], facts["merges"], facts["kind"]), (300, 43, "bpe"))
            written = folder + "/new/tokenizer.json"
            self.json_of("data", "prepare", str(path), "--tokenizer", written, "--out", folder + "/one", "--json")
            self.json_of("data", "prepare", str(path), "--tokenizer", "bpe", "--vocab", "300", "--out", folder + "/other", "--json")
            for name in ("tokenizer.json", "train.bin", "val.bin"):
                self.assertEqual(*((pathlib.Path(folder) / out / name).read_bytes() for out in ("one", "other")))
            self.assertIn("--vocab", self.error_of("tokenizer", "train", str(path), "--out", written, code=2))
            self.assertIn("no such file", self.error_of("tokenizer", "train", folder + "/absent", "--vocab", "300", "--out", folder + "/no/", code=3))
            self.assertFalse((pathlib.Path(folder) / "no").exists())

    def test_half_a_character_is_replaced_in_json_only(self):
        self.assertEqual(self.json_of("tokenizer", "decode", "195", "--tokenizer", "byte", "--json")["text"], "\ufffd")
        done = subprocess.run([COMMAND, "tokenizer", "decode", "195", "--tokenizer", "byte"], capture_output=True, check=True)
        self.assertEqual(done.stdout, b"\xc3")


if __name__ == "__main__":
    unittest.main()
