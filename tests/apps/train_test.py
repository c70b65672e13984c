# SPDX-License-Identifier: Apache-2.0
"""`aot train` as a user meets it: stopping, killing and damaging runs must not change what they compute.

Run by ctest with AOT_COMMAND set to the program; alone: AOT_COMMAND=build/release/aot python3 tests/apps/train_test.py
"""
import array
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

AOT = os.environ.get("AOT_COMMAND", "build/release/aot")
STEPS = 60
MODEL = ["--width", "32", "--layers", "2", "--heads", "2", "--context", "32", "--dropout", "0.1"]
TRAINING = ["--steps", str(STEPS), "--batch", "4", "--accumulate", "2", "--warmup", "5", "--log-every", "1", "--eval-every", "20",
            "--eval-windows", "8", "--save-every", "10", "--keep", "3"]
GENERAL = ["--threads", "1", "--seed", "7", "--quiet"]


def run(*arguments, timeout=120):
    return subprocess.run([AOT, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def last_line(result):
    return result.stderr.strip().splitlines()[-1] if result.stderr.strip() else ""


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="aot-train-")
        words = random.Random(1)
        cls.write_data("text", " ".join(words.choice(["the", "cat", "sat", "on", "a", "mat", "and", "slept"]) for _ in range(6000)))
        cls.whole = cls.path("whole")
        done = cls.train_whole(cls.whole)
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def write_data(cls, name, text):
        """nanoGPT's folder, its tokens being bytes."""
        os.mkdir(cls.path(name))
        cut = len(text) * 9 // 10
        for split, part in (("train", text[:cut]), ("val", text[cut:])):
            with open(os.path.join(cls.path(name), split + ".bin"), "wb") as file:
                array.array("H", list(part.encode())).tofile(file)

    @classmethod
    def start(cls, out):
        return ["train", "--data", cls.path("text"), "--tokenizer", "byte", "--out", out, *MODEL, *TRAINING, *GENERAL]

    @classmethod
    def train_whole(cls, out, *more):
        return run(*cls.start(out), *more)

    @staticmethod
    def digests(folder, step=STEPS):
        with open(os.path.join(folder, "checkpoints", f"step-{step:08d}", "manifest.json"), encoding="utf-8") as file:
            files = json.load(file)["files"]
        listed = {entry["name"]: entry["sha256"] for entry in files} if isinstance(files, list) else {
            name: entry["sha256"] for name, entry in files.items()}
        return listed["model.safetensors"], listed["optimizer.safetensors"]

    @staticmethod
    def rows(folder):
        """What was computed, as the exact texts of its numbers; times and memory are left out."""
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line, parse_float=str) for line in file]
        return [{key: row[key] for key in ("step", "loss", "lr", "grad_norm", "tokens", "val_loss", "best") if key in row} for row in rows]

    def assert_same_run(self, folder):
        self.assertEqual(self.rows(folder), self.rows(self.whole))
        self.assertEqual(self.digests(folder), self.digests(self.whole))
        with open(os.path.join(folder, "metrics.csv"), encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), len(self.rows(folder)) + 1)

    @staticmethod
    def wait_for_step(process, folder, step):
        path = os.path.join(folder, "metrics.jsonl")
        while process.poll() is None:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    if f'{{"step":{step},' in file.read():
                        return
            time.sleep(0.002)

    def steps_saved(self, folder):
        return sorted(int(name[5:]) for name in os.listdir(os.path.join(folder, "checkpoints")) if name.startswith("step-"))


class Resume(Case):
    def test_the_same_seed_gives_the_same_run(self):
        again = self.path("again")
        self.assertEqual(self.train_whole(again).returncode, 0)
        self.assert_same_run(again)

    def test_stopping_between_checkpoints_changes_nothing(self):
        out = self.path("stopped")
        self.assertEqual(self.train_whole(out, "--stop-after", "27").returncode, 0)
        self.assertEqual(self.steps_saved(out)[-1], 27)
        self.assertEqual(run("train", "--resume", out, "--stop-after", "41", "--quiet").returncode, 0)
        self.assertEqual(run("train", "--resume", out, "--quiet").returncode, 0)
        self.assert_same_run(out)

    def test_kills_at_any_moment_change_nothing(self):
        out = self.path("killed")
        moments = random.Random(3)
        # `auto` starts the run when a kill came before its first file, and goes on otherwise. Saving every other step lets many kills
        # fall into a save.
        command = [AOT, *self.start(out), "--resume", "auto"]
        command[command.index("--save-every") + 1] = "2"
        for kill in range(6):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if kill == 0:
                time.sleep(moments.uniform(0, 0.5))  # while it starts
            else:
                self.wait_for_step(process, out, moments.randint(kill * 8, kill * 8 + 7))
                time.sleep(moments.uniform(0, 0.03))
            process.kill()
            said = process.communicate()[1]
            self.assertEqual(process.returncode, -signal.SIGKILL, said)
        self.assertEqual(subprocess.run(command, check=False, capture_output=True).returncode, 0)
        self.assert_same_run(out)
        leftovers = [name for name in os.listdir(os.path.join(out, "checkpoints")) if name.startswith(".tmp")]
        self.assertEqual(leftovers, [])

    def test_signals_save_and_end_with_their_code(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            out = self.path(f"signal-{number}")
            process = subprocess.Popen([AOT, *self.start(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.wait_for_step(process, out, 3)
            process.send_signal(number)
            said = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, 128 + number, said)
            saved = self.steps_saved(out)[-1]
            trained = [row["step"] for row in self.rows(out)][-1]
            self.assertEqual(saved, trained)
            self.assertEqual(run("train", "--resume", out, "--quiet").returncode, 0)
            self.assert_same_run(out)

    def test_more_steps_keep_the_schedule(self):
        out = self.path("longer")
        self.train_whole(out)
        longer = run("train", "--resume", out, "--steps", str(STEPS + 5), "--json", "--quiet")
        self.assertEqual(longer.returncode, 0, longer.stderr)
        rows = [json.loads(line) for line in longer.stdout.splitlines()]
        self.assertEqual([row["lr"] for row in rows if "lr" in row], [1e-4] * 5)  # min-lr: past the horizon
        self.assertEqual(rows[-1]["step"], STEPS + 5)
        self.assertIs(rows[-1]["finished"], True)

    def test_changed_settings_are_refused_with_both_values(self):
        out = self.path("changed")
        self.train_whole(out, "--stop-after", "10")
        for flags, words in ((["--width", "64"], ("width", "32", "64")), (["--lr", "0.01"], ("lr", "0.001", "0.01")),
                             (["--seed", "8"], ("seed", "7", "8")), (["--schedule", "linear"], ("schedule", "cosine", "linear"))):
            refused = run("train", "--resume", out, *flags)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            for word in words:
                self.assertIn(word, last_line(refused))
        self.assertEqual(self.steps_saved(out)[-1], 10)
        cadence = run("train", "--resume", out, "--save-every", "7", "--stop-after", "12", "--quiet")
        self.assertEqual(cadence.returncode, 0, cadence.stderr)

    def test_another_corpus_is_refused(self):
        out = self.path("corpus")
        self.train_whole(out, "--stop-after", "10")
        self.write_data("other", "the mat sat on the cat and a cat slept " * 300)
        refused = run("train", "--resume", out, "--data", self.path("other"))
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertIn("digest mismatch", last_line(refused))


class Record(Case):
    """The instruction set of the kernels is part of a run: no other machine setting may change its bits in silence."""

    def stopped_on_generic(self, name):
        out = self.path(name)
        command = [AOT, *self.start(out), "--stop-after", "20", "--verbose"]
        command.remove("--quiet")
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "AOT_CPU_PATH": "generic"})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("path generic", result.stderr)
        with open(os.path.join(out, "checkpoints", "last", "state.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["machine"]["path"], "generic")
        return out

    def test_the_path_is_printed_saved_and_taken_again(self):
        result = run("train", "--resume", self.stopped_on_generic("generic"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("path generic", result.stderr)
        self.assertNotIn("the path", result.stderr)

    def test_another_path_is_taken_only_when_asked_for_and_said(self):
        others = json.loads(run("doctor", "--json").stdout)["cpu_paths"][1:]
        if not others:
            self.skipTest("the processor has no path but generic")
        out = self.stopped_on_generic("other")
        result = subprocess.run([AOT, "train", "--resume", out], capture_output=True, text=True, timeout=120, check=False,
                                env={**os.environ, "AOT_CPU_PATH": others[0]})
        self.assertEqual(result.returncode, 0, result.stderr)
        warning = f"the run was made with the path generic, now it is {others[0]}: results may differ in their last bits"
        self.assertEqual(result.stderr.count(warning), 1, result.stderr)
        with open(os.path.join(out, "checkpoints", "last", "state.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["machine"]["path"], others[0])

    def test_recomputed_layers_give_the_same_bits(self):
        out = self.path("recomputed")
        self.assertEqual(self.train_whole(out, "--recompute").returncode, 0)
        with open(os.path.join(out, "config.toml"), encoding="utf-8") as file:
            self.assertIn("recompute = true", file.read())
        self.assert_same_run(out)


class Memory(Case):
    def test_resident_memory_does_not_grow_over_500_steps(self):
        out = self.path("long")
        done = run("train", "--data", self.path("text"), "--tokenizer", "byte", "--out", out, *MODEL, *GENERAL, "--steps", "500", "--batch", "4",
                   "--log-every", "1", "--eval-every", "0", "--save-every", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
            peaks = {row["step"]: row["memory_bytes"] for row in map(json.loads, file) if "memory_bytes" in row}
        self.assertLessEqual(peaks[499] - peaks[50], 2 << 20)  # a leak of 5 kB a step shows


class Damage(Case):
    def broken_run(self, name, damage):
        out = self.path(name)
        shutil.copytree(self.whole, out, symlinks=True)
        newest = os.path.join(out, "checkpoints", f"step-{STEPS:08d}")
        damage(newest)
        return out, run("train", "--resume", out, "--threads", "1")

    @staticmethod
    def flip(path):
        with open(path, "r+b") as file:
            file.seek(-5, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-5, os.SEEK_END)
            file.write(bytes([byte ^ 1]))

    def test_the_newest_whole_checkpoint_is_used_and_the_damaged_one_named(self):
        damages = {"flipped": lambda folder: self.flip(os.path.join(folder, "model.safetensors")),
                   "cut": lambda folder: os.truncate(os.path.join(folder, "optimizer.safetensors"), 1000),
                   "missing": lambda folder: os.remove(os.path.join(folder, "state.json")),
                   "unvouched": lambda folder: os.remove(os.path.join(folder, "manifest.json"))}
        for name, damage in damages.items():
            out, result = self.broken_run(name, damage)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"step-{STEPS:08d}", result.stderr)
            self.assertIn(f"going on from step {STEPS - 10}", result.stderr)
            self.assert_same_run(out)

    def test_none_whole_ends_with_3_and_no_fresh_start(self):
        def damage(newest):
            for name in os.listdir(os.path.dirname(newest)):
                if name.startswith("step-"):
                    os.remove(os.path.join(os.path.dirname(newest), name, "manifest.json"))
        out, result = self.broken_run("all", damage)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("incomplete checkpoint", last_line(result))
        self.assertEqual(self.rows(out), self.rows(self.whole))

    def test_a_log_that_nobody_reads_ends_no_training(self):
        out = self.path("unread")
        reader, writer = os.pipe()
        arguments = ["train", "--data", self.path("text"), "--tokenizer", "byte", "--out", out, *MODEL, *TRAINING, *GENERAL[:-1]]
        process = subprocess.Popen([AOT, *arguments], stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        self.assertEqual(process.wait(timeout=120), 0)
        self.assert_same_run(out)

    def report(self, folder):
        result = run("explain", "report", folder, "--out", self.path("page.html"))
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(self.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertRegex(page, r"counting bigrams reach</dt><dd>\d")
        return page, result.stderr

    def test_a_report_takes_the_tokenizer_that_the_run_was_given(self):
        page, errors = self.report(self.whole + "/")
        self.assertIn("<title>whole</title>", page)
        self.assertIn("What it writes", page)
        self.assertNotIn("warning", errors)

    def test_a_report_that_cannot_be_written_is_refused_before_it_is_made(self):
        for arguments in (["--out", self.path("")], ["--out", self.path("refused.html"), "--chart", self.path("absent/loss.svg")]):
            result = run("explain", "report", self.whole, *arguments)
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn("cannot be", result.stderr)
            self.assertFalse(os.path.exists(self.path("refused.html")))

    def test_a_report_of_a_run_without_a_tokenizer_has_no_samples(self):
        result = run("train", "--data", self.path("text"), "--vocab-size", "256", "--out", self.path("bare"), *MODEL, "--steps", "2", *GENERAL)
        self.assertEqual(result.returncode, 0, result.stderr)
        page, errors = self.report(self.path("bare"))
        self.assertNotIn("What it writes", page)
        self.assertIn("the page has no samples", errors)

    def test_a_warmup_follows_the_budget_of_tokens(self):
        few = str(10 * 8 * 32)  # ten steps
        flags = ["--data", self.path("text"), "--tokenizer", "byte", "--threads", "1", "--quiet", *MODEL, "--batch", "4", "--accumulate", "2", "--max-tokens", few]
        result = run("train", *flags, "--out", self.path("budget"))
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(os.path.join(self.path("budget"), "config.toml"), encoding="utf-8") as file:
            self.assertIn("warmup = 1\n", file.read())
        result = run("train", *flags, "--out", self.path("no"), "--warmup", "11")
        self.assertEqual(result.returncode, 2)
        self.assertIn("warmup of 11 steps exceeds the 10 steps", last_line(result))

    def test_a_run_that_lost_its_checkpoints_is_not_started_anew(self):
        out = self.path("lost")
        shutil.copytree(self.whole, out, symlinks=True)
        shutil.rmtree(os.path.join(out, "checkpoints"))
        result = run("train", "--resume", out)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertEqual(self.rows(out), self.rows(self.whole))


class NonFinite(Case):
    def test_a_run_that_diverges_stops_and_keeps_its_last_good_checkpoint(self):
        out = self.path("diverging")
        result = self.train_whole(out, "--lr", "1e38", "--min-lr", "0", "--clip", "0")
        self.assertEqual(result.returncode, 1, result.stderr)
        line = last_line(result)
        self.assertTrue(line.startswith("aot: error: non-finite: step "), line)
        self.assertIn("last good checkpoint", line)
        named = line.split("last good checkpoint ")[1]
        self.assertEqual(os.path.basename(named), os.readlink(os.path.join(out, "checkpoints", "last")))
        again = run("train", "--init-from", out, "--data", self.path("text"), "--tokenizer", "byte", "--out",
                    self.path("from-last"), "--stop-after", "1", *TRAINING)
        self.assertEqual(again.returncode, 0, again.stderr)  # loading refuses a weight that is not finite


class Usage(Case):
    def test_an_output_folder_in_use_is_refused_and_left_alone(self):
        before = self.digests(self.whole)
        result = self.train_whole(self.whole)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("not empty", last_line(result))
        self.assertEqual(self.digests(self.whole), before)

    def test_a_short_try_needs_no_warmup_of_its_own(self):
        short = self.path("short")
        result = run("train", "--data", self.path("text"), "--tokenizer", "byte", "--out", short, *MODEL, "--steps", "3", *GENERAL)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(os.path.join(short, "config.toml"), encoding="utf-8") as file:
            self.assertIn("warmup = 0\n", file.read())

    def test_refusals_write_nothing(self):
        for flags in (["--warmup", "100", "--steps", "50"], ["--width", "33"], ["--vocab-size", "3"], ["--min-lr", "1"],
                      ["--init-from", self.path("absent")], ["--preset", "no-such"], ["--context", "99999"]):
            out = self.path("refused")
            result = self.train_whole(out, *flags)
            self.assertIn(result.returncode, (2, 3), result.stderr)
            self.assertFalse(os.path.exists(out), flags)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)

    def test_two_processes_do_not_share_a_run(self):
        out = self.path("shared")
        self.train_whole(out, "--stop-after", "10")
        first = subprocess.Popen([AOT, "train", "--resume", out, "--steps", "100000", "--quiet"], stderr=subprocess.PIPE)
        try:
            self.wait_for_step(first, out, 12)
            second = run("train", "--resume", out)
            self.assertEqual(second.returncode, 4, second.stderr)
            self.assertIn(f"in use by process {first.pid}", last_line(second))
        finally:
            first.kill()
            first.communicate()

    def test_the_saved_settings_are_the_resolved_ones(self):
        with open(os.path.join(self.whole, "config.toml"), encoding="utf-8") as file:
            settings = dict(line.strip().split(" = ", 1) for line in file if " = " in line)
        self.assertEqual(settings["seed"], "7")
        self.assertEqual(settings["head_dim"], "16")
        self.assertEqual(settings["weight_decay"], "0.1")
        self.assertGreater(int(settings["vocab_size"]), 5)
        out = self.path("from-config")
        self.assertEqual(run("train", "--config", os.path.join(self.whole, "config.toml"), "--out", out, "--threads", "1").returncode, 0)
        self.assert_same_run(out)

    def test_json_ends_with_the_result(self):
        out = self.path("json")
        result = self.train_whole(out, "--json")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([line["step"] for line in lines if "lr" in line], list(range(1, STEPS + 1)))
        final = lines[-1]
        self.assertIs(final["finished"], True)
        self.assertEqual(final["seed"], 7)
        with open(os.path.join(out, "summary.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["val_loss"], final["val_loss"])

    def test_budgets_end_a_run(self):
        tokens = self.path("tokens")
        self.assertEqual(self.train_whole(tokens, "--max-tokens", str(4 * 2 * 32 * 9 + 1)).returncode, 0)
        self.assertEqual(self.steps_saved(tokens)[-1], 10)
        minutes = self.path("minutes")
        result = self.train_whole(minutes, "--max-minutes", "0.000001", "--json")
        final = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual((final["step"], final["finished"]), (1, True))


if __name__ == "__main__":
    unittest.main()
