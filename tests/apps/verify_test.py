# SPDX-License-Identifier: Apache-2.0
"""`aot verify`: steps of a run done once more; what was changed in its record is found and named."""
import hashlib
import json
import pathlib
import random
import re
import shutil
import struct
import tempfile
import unittest

from command import CommandTest

COMMON = ["--steps", "12", "--warmup", "2", "--log-every", "1", "--eval-every", "4", "--save-every", "4", "--keep", "5", "--threads", "1", "--seed", "7", "--quiet"]


def snapshot(folder):
    """Names, bytes and times of all files below a folder."""
    return {str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def change_weight(checkpoint, name):
    """Adds 1 to the last number of a tensor and makes every digest right again."""
    path = checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    before = hashlib.sha256(content).hexdigest()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    begin, end = (8 + length + offset for offset in header[name]["data_offsets"])
    content[end - 4 : end] = struct.pack("<f", struct.unpack("<f", content[end - 4 : end])[0] + 1)
    old = header["__metadata__"]["sha256." + name].encode()
    place = content.index(old)
    content[place : place + 64] = hashlib.sha256(content[begin:end]).hexdigest().encode()
    path.write_bytes(content)
    manifest = checkpoint / "manifest.json"
    text = manifest.read_text().replace(before, hashlib.sha256(content).hexdigest())
    own = re.findall("[0-9a-f]{64}", text)[-1]
    text = text.replace(own, "0" * 64)
    manifest.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))


class Verify(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.path = pathlib.Path(cls.temporary.name)
        words = random.Random(1)
        (cls.path / "text.txt").write_text(" ".join(words.choice(["the", "cat", "sat", "on", "a", "mat"]) for _ in range(4000)))
        cls().run_aot("data", "prepare", str(cls.path / "text.txt"), "--tokenizer", "byte", "--out", str(cls.path / "text"))
        cls.whole = cls.trained("whole", "--data", str(cls.path / "text"), "--width", "32", "--layers", "2", "--heads", "2", "--context", "16", "--batch", "3",
                                "--accumulate", "2", "--dropout", "0.1", "--eval-windows", "4")

    @classmethod
    def trained(cls, name, *arguments):
        cls().run_aot("train", "--out", str(cls.path / name), *arguments, *COMMON)
        return cls.path / name

    def copy_of_run(self, name):
        return pathlib.Path(shutil.copytree(self.whole, self.path / name, symlinks=True))

    def verified(self, run, start, steps, *more, code=0, **options):
        """The JSON document and what stands on stderr."""
        out, err = self.run_aot("verify", str(run), "--from", str(start), "--steps", str(steps), "--json", "--quiet", *more, code=code, **options)
        return json.loads(out), err

    def test_steps_repeated_are_equal_to_the_bit_and_nothing_is_written(self):
        before = snapshot(self.whole)
        for start, steps, rows, checkpoints in ((4, 8, 8, [8, 12]), (0, 3, 3, []), (8, 100, 4, [12])):
            with self.subTest(start=start):
                found, err = self.verified(self.whole, start, steps)
                self.assertEqual(err, "")
                self.assertEqual((found["from"], found["steps"], found["rows"]), (start, rows, rows))
                self.assertEqual([one["step"] for one in found["checkpoints"]], checkpoints)
                for one in found["checkpoints"]:
                    self.assertEqual(one["equal"], one["tensors"])
                    self.assertGreater(one["tensors"], 10)
                self.assertEqual((found["differences"], found["machine"], found["equal"]), ([], [], True))
        out, _ = self.run_aot("verify", str(self.whole), "--from", "4", "--steps", "4")
        self.assertIn("steps 5 to 8 repeated", out)
        self.assertIn("equal to the bit", out)
        self.assertEqual(snapshot(self.whole), before)

    def test_runs_of_every_task_and_kind_of_training(self):
        self.run_aot("data", "make", "digits", "--count", "80", "--val", "0.25", "--out", str(self.path / "digits"), "--seed", "1")
        language = ["--data", str(self.path / "text"), "--width", "32", "--layers", "1", "--heads", "2", "--context", "8", "--batch", "2"]
        kinds = {
            "vision": ["--task", "vision", "--data", str(self.path / "digits"), "--width", "32", "--layers", "1", "--heads", "2", "--patch", "7", "--batch", "8", "--shift", "2"],
            "icl": ["--task", "icl", "--width", "32", "--layers", "1", "--heads", "2", "--dims", "3", "--max-points", "6", "--points", "6", "--batch", "4", "--eval-prompts", "16"],
            "averaged": [*language, "--optimizer", "lion", "--ema", "0.9", "--layer-decay", "0.8"],
            "bfloat16": [*language, "--dtype", "bfloat16", "--recompute"],
        }
        for name, arguments in kinds.items():
            with self.subTest(name):
                found, _ = self.verified(self.trained(name, *arguments), 4, 8)
                self.assertEqual((found["rows"], [one["step"] for one in found["checkpoints"]], found["differences"]), (8, [8, 12], []))

    def test_a_run_that_was_stopped_and_resumed(self):
        run = self.path / "halves"
        arguments = ["--data", str(self.path / "text"), "--width", "32", "--layers", "1", "--heads", "2", "--context", "8", "--batch", "2", *COMMON]
        self.run_aot("train", "--out", str(run), *arguments, "--stop-after", "6")
        self.run_aot("train", "--resume", str(run), "--threads", "2", "--quiet")
        found, _ = self.verified(run, 6, 6)  # on two threads, as those steps were
        self.assertEqual((found["rows"], found["machine"], found["equal"]), (6, [], True))
        with open(run / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('{"step":13,"lo')  # a row that a running process is about to end
        self.assertIs(self.verified(run, 8, 4)[0]["equal"], True)

    def test_a_changed_row_is_found_and_named(self):
        run = self.copy_of_run("metrics")
        lines = (run / "metrics.jsonl").read_text().splitlines()
        number = next(i for i, line in enumerate(lines) if line.startswith('{"step":7,"loss"'))
        row = json.loads(lines[number])
        recorded = row["loss"]
        row["loss"] = recorded * (1 + 2**-50)
        lines[number] = json.dumps(row)
        (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        found, err = self.verified(run, 4, 8, code=1)
        self.assertEqual([(one["step"], one["place"]) for one in found["differences"]], [(7, f"metrics.jsonl, line {number + 1}: loss")])
        self.assertEqual((found["differences"][0]["recorded"], found["differences"][0]["repeated"]), (row["loss"], recorded))
        self.assertIs(found["equal"], False)
        self.assertRegex(err, rf"aot: error: verify: 1 difference, the first at step 7: metrics.jsonl, line {number + 1}: loss")

    def test_a_changed_weight_is_found_and_named(self):
        run = self.copy_of_run("weight")
        change_weight(run / "checkpoints" / "step-00000012", "embedding")
        found, err = self.verified(run, 8, 4, code=1)
        self.assertEqual([(one["step"], one["place"]) for one in found["differences"]], [(12, "model.safetensors: tensor 'embedding'")])
        self.assertEqual(found["checkpoints"][0]["tensors"] - found["checkpoints"][0]["equal"], 1)
        self.assertIn("tensor 'embedding'", err)
        found, _ = self.verified(run, 4, 4)  # what lies before it holds
        self.assertIs(found["equal"], True)

        run = self.copy_of_run("start")
        change_weight(run / "checkpoints" / "step-00000004", "embedding")
        found, err = self.verified(run, 4, 8, code=1)
        self.assertEqual(found["differences"][0]["step"], 5)
        self.assertIn("the first at step 5: metrics.jsonl", err)

    def test_damage_is_a_bad_file(self):
        for step in (8, 12):
            run = self.copy_of_run(f"damaged-{step}")
            path = run / "checkpoints" / f"step-{step:08}" / "model.safetensors"
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(content)
            err = self.error_of("verify", str(run), "--from", "8", "--steps", "4", code=3)
            self.assertIn(f"step-{step:08}", err)
            self.assertIn("digest mismatch", err)

    def test_what_is_not_there_is_said_before_anything_is_trained(self):
        for arguments, words, code in (
            (["--from", "5", "--steps", "4"], ["holds no checkpoint of step 5", "it has those of 0, 4, 8, 12"], 3),
            (["--from", "12", "--steps", "4"], ["recorded nothing about the steps from 12 to 16"], 2),
            (["--from", "4"], ["--from STEP and --steps N"], 2),
            (["--steps", "4"], ["--from STEP and --steps N"], 2),
        ):
            err = self.error_of("verify", str(self.whole), *arguments, code=code)
            for word in words:
                self.assertIn(word, err)
        self.assertIn("no such file", self.error_of("verify", str(self.path / "absent"), "--from", "0", "--steps", "1", code=3))
        self.assertIn("not a run folder", self.error_of("verify", str(self.path / "text.txt"), "--from", "0", "--steps", "1", code=3))

    def test_data_that_moved_is_named_and_other_data_refused(self):
        moved = self.path / "moved"
        shutil.copytree(self.path / "text", moved)
        found, _ = self.verified(self.whole, 8, 4, "--data", str(moved))
        self.assertIs(found["equal"], True)
        content = bytearray((moved / "train.bin").read_bytes())
        content[0] ^= 1
        (moved / "train.bin").write_bytes(content)
        err = self.error_of("verify", str(self.whole), "--from", "8", "--steps", "4", "--data", str(moved), "--quiet", code=3)
        self.assertIn("digest mismatch", err)

    def test_other_threads_and_kernels_are_said(self):
        run = self.path / "generic"
        self.run_aot("train", "--out", str(run), "--data", str(self.path / "text"), "--width", "32", "--layers", "1", "--heads", "2", "--context", "16", *COMMON, env={"AOT_CPU_PATH": "generic"})
        found, err = self.verified(run, 4, 8)  # the run's own path is taken again
        self.assertEqual((found["machine"], found["equal"], err), ([], True, ""))
        for more, env, words in ((["--threads", "2"], {}, "a thread count of 1, now it is 2"), ([], {"AOT_CPU_PATH": "generic"}, "the path")):
            with self.subTest(words):
                out, err = self.run_aot("verify", str(self.whole), "--from", "4", "--steps", "8", "--json", "--quiet", *more, env=env, code=(0, 1))
                found = json.loads(out)
                if not found["machine"]:  # a processor whose best path is the generic one
                    continue
                self.assertEqual(len(found["machine"]), 1)
                self.assertIn(words, found["machine"][0])
                self.assertIn("warning: " + found["machine"][0], err)


if __name__ == "__main__":
    unittest.main()
