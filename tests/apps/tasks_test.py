# SPDX-License-Identifier: Apache-2.0
"""`aot train --task vision` and `--task icl` as a user meets them: resumed runs, new classes and sizes, ImageNet's presets, refusals."""
import json
import pathlib
import struct
import tempfile
import unittest
import zlib

from command import CommandTest

GENERAL = ["--threads", "1", "--seed", "7"]
TRAINING = ["--steps", "8", "--batch", "8", "--accumulate", "2", "--warmup", "2", "--dropout", "0.1", "--log-every", "1", "--eval-every", "4",
            "--save-every", "4"]
VISION = ["--task", "vision", "--width", "16", "--layers", "2", "--heads", "2", "--patch", "7", "--shift", "1", "--mixup", "0.4"]
ICL = ["--task", "icl", "--width", "16", "--layers", "2", "--heads", "2", "--dims", "3", "--max-points", "6", "--points", "6", "--eval-prompts", "64",
       "--curriculum-every", "2", "--first-dims", "1", "--first-points", "3"]


def png(height, width, shade):
    """A picture of one colour that falls from left to right."""
    row = b"\0" + b"".join(bytes([shade, x * 255 // width, 255 - shade]) for x in range(width))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")


class Tasks(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)

    def make(self, name, *arguments):
        """What `aot arguments --out FOLDER` writes; made once."""
        out = self.path / name
        if not out.exists():
            self.run_aot(*arguments, "--out", str(out), "--quiet", *(GENERAL if arguments[0] == "train" else []))
        return str(out)

    def digits(self):
        return self.make("digits", "data", "make", "digits", "--count", "60", "--val", "0.2", "--seed", "1")

    def shapes(self):
        return self.make("shapes", "data", "make", "shapes", "--size", "28", "--count", "40", "--val", "0.2", "--seed", "1")

    def text(self):
        (self.path / "text.txt").write_text("the cat sat on a mat and slept. " * 100)
        return self.make("text", "data", "prepare", str(self.path / "text.txt"), "--tokenizer", "byte")

    def vision_run(self):
        return self.make("vision", "train", "--data", self.digits(), *VISION, *TRAINING)

    def results(self, run):
        """Digests of what was trained, and the numbers of the metrics without times and memory."""
        run = pathlib.Path(run)
        files = {file["name"]: file["sha256"] for file in json.loads((run / "checkpoints/last/manifest.json").read_text())["files"]}
        rows = [json.loads(line, parse_float=str) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kept = ("step", "loss", "lr", "grad_norm", "val_loss", "top1", "best", "images", "prompts")
        return files["model.safetensors"], files["optimizer.safetensors"], [{key: row[key] for key in kept if key in row} for row in rows]

    def check_resume(self, whole, start, *changes):
        """A run stopped at step 3 and resumed with `changes` is `whole`, and both say so."""
        halves = whole + "-halves"
        out, _ = self.run_aot("train", *start, "--out", halves, "--stop-after", "3", "--quiet", *GENERAL)
        self.assertIn("stopped at step 3", out)
        summary = self.rows_of("train", "--resume", halves, "--quiet", "--json", *changes).pop()
        self.assertEqual((summary["step"], summary["finished"]), (8, True))
        self.assertEqual(self.results(halves), self.results(whole))
        return summary

    def rows_of(self, *arguments, **options):
        """Its lines of JSON."""
        return [json.loads(line) for line in self.run_aot(*arguments, **options)[0].splitlines()]

    def test_vision_resumes_to_the_bit_with_other_workers(self):
        whole = self.vision_run()
        summary = self.check_resume(whole, ["--data", self.digits(), *VISION, *TRAINING], "--workers", "3")
        self.assertEqual((summary["images"], summary["val_images"]), (8 * 16, 12))
        self.assertIn("val_top1", summary)
        score = self.rows_of("eval", "top1", "--model", whole, "--data", self.digits(), "--json").pop()
        self.assertEqual(score["count"], 12)

    def test_icl_resumes_to_the_bit_while_prompts_grow(self):
        whole = self.make("icl", "train", *ICL, *TRAINING)
        summary = self.check_resume(whole, [*ICL, *TRAINING])
        self.assertEqual((summary["prompts"], summary["val_prompts"]), (8 * 16, 64))
        rows = self.rows_of("icl", "eval", "--model", whole, "--prompts", "20", "--json", "--quiet")
        self.assertEqual(len({row["examples"] for row in rows}), 6)

    def test_runs_of_pictures_and_of_functions_have_reports(self):
        for run, words in ((self.vision_run(), "nats per picture"), (self.make("icl", "train", *ICL, *TRAINING), "squared error")):
            self.run_aot("explain", "report", run, "--out", str(self.path / "page.html"), "--quiet")
            page = (self.path / "page.html").read_text()
            for part in (words, "<dt>validation loss at the end</dt>", "2 heads of 8", ">validation</text>"):
                self.assertIn(part, page)
            self.assertNotIn("What it writes", page)

    def test_a_slash_at_the_end_of_a_run_changes_nothing(self):
        out = str(self.path / "slash")
        said, _ = self.run_aot("train", *ICL, *TRAINING, "--out", out + "/", "--stop-after", "2", "--quiet", *GENERAL)
        self.assertIn(f"checkpoint {out}/checkpoints/step-00000002\n", said)
        self.run_aot("train", "--out", out, "--resume", out + "/", "--stop-after", "3", "--quiet")

    def test_a_best_loss_over_fewer_prompts_does_not_stay(self):
        out = str(self.path / "watched")
        self.run_aot("train", *ICL, *TRAINING, "--out", out, "--stop-after", "4", "--quiet", *GENERAL)
        _, said = self.run_aot("train", "--resume", out, "--eval-prompts", "128")
        self.assertIn("the best loss of before was over 64 prompts, not 128: it starts anew", said)

    def test_fine_tuning_takes_new_classes_and_another_size(self):
        tuned = ["train", "--init-from", self.vision_run(), "--data", self.digits(), "--steps", "1", "--batch", "4", *GENERAL]
        _, said = self.run_aot(*tuned, "--out", str(self.path / "classes"), "--classes", "12")
        self.assertIn("drew head, head_bias anew", said)
        _, said = self.run_aot(*tuned, "--out", str(self.path / "size"), "--image-size", "14")
        self.assertIn("interpolated position", said)
        row = self.rows_of("eval", "knn", "--model", str(self.path / "size"), "--data", self.digits(), "--json").pop()
        self.assertEqual(row["count"], 12)

    def test_presets_for_imagenet_train_on_a_folder_of_images(self):
        for number, name in enumerate(("tench", "goldfish")):
            for i in range(4):
                folder = self.path / "in" / ("train" if i < 3 else "val") / name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{i}.png").write_bytes(png(37 + i, 50 - i, 200 * number + i))
        data = self.make("imagenet", "data", "prepare", "--images", str(self.path / "in"))
        small = ["--image-size", "32", "--batch", "2", "--accumulate", "1", "--eval-every", "0", "--save-every", "0"]
        for preset in ("aot-mssa-v", "aot-mhsa-v", "vit-s", "crate-s"):
            with self.subTest(preset):
                changes = ["--steps", "1"] if preset == "aot-mssa-v" else ["--steps", "2", "--layers", "2"]  # the first is whole
                out = str(self.path / f"run-{preset}")
                row = self.rows_of("train", "--data", data, "--out", out, "--preset", preset, *small, *changes, "--quiet", "--json", *GENERAL).pop()
                self.assertEqual((row["finished"], row["images"], row["val_images"]), (True, 2 * row["step"], 2))
                if preset == "aot-mssa-v":
                    self.assertEqual(row["parameters"], 22021608 - (196 - 4) * 512)  # fewer positions
                    trained = row["val_top1"]
        out, said = self.run_aot("eval", "top1", "--model", str(self.path / "run-aot-mssa-v"), "--data", data, "--resize", "256", "--json")
        self.assertIn("has 2 classes, the model knows 1000", said)
        self.assertEqual(json.loads(out)["top1"], trained)

    def test_what_does_not_go_together_is_one_line_and_nothing_is_written(self):
        out = self.path / "refused"
        for code, words, arguments in (
            (2, "unknown task 'cubic'", ["--task", "cubic"]),
            (2, "train needs --data DIR", ["--task", "vision"]),
            (2, "the task icl draws its prompts itself", ["--task", "icl", "--data", self.digits()]),
            (2, "the task icl draws its prompts itself", ["--preset", "icl-mssa-small", "--data", self.digits()]),
            (2, "preset gpt2-tiny is of task language, not of vision", ["--task", "vision", "--preset", "gpt2-tiny", "--data", self.digits()]),
            (2, "preset vit-digits is of task vision, not of icl", ["--task", "icl", "--preset", "vit-digits"]),
            (2, "--points is not for models of the task vision", ["--task", "vision", "--data", self.digits(), "--points", "5"]),
            (2, "--patch is not for models of the task icl", ["--task", "icl", "--patch", "5"]),
            (2, "--context is not for models of the task icl", ["--preset", "icl-mhsa-small", "--context", "5"]),
            (2, "the images have 3 channels, model 1; give --channels 3", ["--preset", "vit-digits", "--data", self.shapes()]),
            (2, "patches of 5 do not divide pictures of 28 pixels", ["--task", "vision", "--data", self.digits(), "--patch", "5"]),
            (2, "prompts of 12 points exceed the 11 of the model", ["--task", "icl", "--points", "12"]),
            (2, "sparsity 4 exceeds the 3 dimensions", [*ICL, "--problem", "sparse-linear", "--sparsity", "4"]),
            (3, "these are no prepared images", ["--task", "vision", "--data", self.text()]),
            (3, "these are prepared images, need prepared text", ["--data", self.digits()]),
            (3, "no such folder", ["--task", "vision", "--data", str(self.path / "absent")]),
            (3, "holds a model for vision, need one for icl", ["--task", "icl", "--init-from", self.vision_run()]),
            (3, "holds a model for vision, need one for language", ["--task", "language", "--init-from", self.vision_run(), "--data", self.text()]),
        ):
            with self.subTest(arguments):
                self.assertIn(words, self.error_of("train", *arguments, "--out", str(out), "--quiet", code=code))
                self.assertFalse(out.exists())
        for words, change in (("width of the run is 16, given is 32", ["--width", "32"]),
                              ("--dims is not for models of the task vision", ["--dims", "3"])):
            self.assertIn(words, self.error_of("train", "--resume", self.vision_run(), *change, "--quiet", code=2))


if __name__ == "__main__":
    unittest.main()
