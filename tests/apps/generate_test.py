# SPDX-License-Identifier: Apache-2.0
"""`aot generate` and `aot eval` as a user meets them, on a small model trained here."""
import array
import json
import math
import os
import shutil
import tempfile
import unittest

from command import CommandTest

TEXT = "the cat sat on the mat and the dog sat on the log; " * 120


class GenerateAndEval(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="aot-generate-")
        cls.data, cls.model, cls.text = (os.path.join(cls.folder, name) for name in ("data", "run", "text.txt"))
        os.mkdir(cls.data)
        for split, part in (("train", TEXT), ("val", TEXT[:700])):
            with open(os.path.join(cls.data, split + ".bin"), "wb") as file:
                array.array("H", list(part.encode())).tofile(file)
        with open(cls.text, "w", encoding="utf-8") as file:
            file.write(TEXT[:700])
        cls().run_aot("train", "--data", cls.data, "--tokenizer", "byte", "--out", cls.model, "--width", "32", "--layers", "2", "--heads", "2",
                      "--context", "16", "--steps", "600", "--warmup", "10", "--batch", "8", "--lr", "0.005", "--seed", "1", "--threads", "1",
                      "--eval-every", "0", "--save-every", "0", "--quiet")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def generate(self, *arguments, **options):
        out, _ = self.run_aot("generate", "--model", self.model, *arguments, "--json", "--threads", "1", **options)
        return [json.loads(line) for line in out.splitlines()]

    def score(self, *arguments, data=None):
        return self.json_of("eval", "text", "--model", self.model, "--data", data or self.data, *arguments, "--json", "--threads", "1")

    def test_a_seed_gives_one_text_alone_among_others_streamed_and_as_json(self):
        many = self.generate("--prompt", "the", "--tokens", "40", "--n", "4", "--seed", "11")
        self.assertEqual([sample["seed"] for sample in many], [11, 12, 13, 14])
        for sample in many:
            alone = self.generate("--prompt", "the", "--tokens", "40", "--seed", str(sample["seed"]))
            self.assertEqual(alone, [sample])
            self.assertEqual((sample["tokens"], sample["finish"], len(sample["ids"])), (40, "length", 40))
        streamed, told = self.run_aot("generate", "--model", self.model, "--prompt", "the", "--tokens", "40", "--seed", "12")
        self.assertEqual(streamed, many[1]["text"] + "\n")
        self.assertRegex(told, r"prompt 3 tokens, \d+ tokens/s; new 40 tokens, \d+ tokens/s; seed 12\n")

    def test_samples_that_end_at_different_places_are_those_drawn_alone(self):
        common = ["--prompt", "the", "--tokens", "40", "--temperature", "1.5", "--stop", "at", "--logprobs", "1"]
        many = self.generate(*common, "--n", "40", "--seed", "5")  # more than are decoded at once
        self.assertGreater(len({sample["tokens"] for sample in many}), 5)
        for sample in many[:3] + many[30:34]:
            self.assertEqual(self.generate(*common, "--seed", str(sample["seed"])), [sample])
        out, told = self.run_aot("generate", "--model", self.model, *common[:-2], "--n", "4", "--seed", "5")
        self.assertEqual(out, "---------------\n".join(sample["text"] + "\n" for sample in many[:4]))
        self.assertRegex(told, rf"new {sum(sample['tokens'] for sample in many[:4])} tokens, \d+ tokens/s; seeds 5 to 8\n")

    def test_a_fresh_seed_is_told_and_repeats_the_text(self):
        first = self.generate("--prompt", "the", "--tokens", "30")[0]
        self.assertEqual(self.generate("--prompt", "the", "--tokens", "30", "--seed", str(first["seed"])), [first])

    def test_prompts_from_flag_file_and_stdin_are_one(self):
        path = os.path.join(self.folder, "prompt.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("the cat")
        common = ["--tokens", "20", "--seed", "3"]
        wanted = self.generate("--prompt", "the cat", *common)
        self.assertEqual(self.generate("--prompt-file", path, *common), wanted)
        self.assertEqual(self.generate("--prompt", "-", *common, stdin="the cat"), wanted)
        self.assertEqual(self.generate("--prompt-file", "-", *common, stdin="the cat"), wanted)

    def test_greedy_is_temperature_zero_and_top_k_one(self):
        wanted = self.generate("--prompt", "the", "--tokens", "50", "--greedy", "--seed", "1")[0]["ids"]
        for flags in (["--temperature", "0"], ["--top-k", "1"], ["--top-p", "0.000001"], ["--min-p", "1"]):
            self.assertEqual(self.generate("--prompt", "the", "--tokens", "50", "--seed", "9", *flags)[0]["ids"], wanted)

    def test_smaller_numbers_continue_a_well_known_text_alike(self):
        texts = {self.generate("--prompt", "the cat", "--tokens", "30", "--greedy", "--dtype", dtype)[0]["text"]
                 for dtype in ("float32", "bfloat16", "int8")}
        self.assertEqual(len(texts), 1)

    def test_stop_strings_end_the_text(self):
        free = self.generate("--prompt", "the", "--tokens", "60", "--greedy", "--seed", "1")[0]["text"]
        stop = free[10:14]
        stopped = self.generate("--prompt", "the", "--tokens", "60", "--greedy", "--seed", "1", "--stop", "\u20ac", "--stop", stop)[0]
        self.assertEqual((stopped["text"], stopped["finish"]), (free[: free.index(stop)], "stop"))

    def test_odd_requests_are_served(self):
        self.assertEqual(self.generate("--prompt", "", "--tokens", "5", "--seed", "1")[0]["prompt_tokens"], 0)
        self.assertEqual(self.generate("--tokens", "0", "--seed", "1")[0]["text"], "")
        self.assertEqual(self.generate("--tokens", "5", "--top-k", "100000000", "--seed", "1")[0]["tokens"], 5)
        self.assertEqual(len(self.generate("--tokens", "2", "--n", "100", "--seed", "1")), 100)
        long = ["--prompt", "x" * 100, "--tokens", "3", "--seed", "1"]
        _, told = self.run_aot("generate", "--model", self.model, *long)
        self.assertIn("warning: the prompt has 100 tokens", told)
        self.assertEqual(self.generate(*long)[0]["ids"], self.generate("--prompt", "x" * 16, *long[2:])[0]["ids"])
        places = self.generate("--prompt", "the", "--tokens", "4", "--logprobs", "3", "--greedy", "--seed", "1")[0]["logprobs"]
        self.assertEqual([place["token"] for place in places], [place["best"][0]["token"] for place in places])
        self.assertTrue(all(place["logprob"] <= 0 and len(place["best"]) == 3 for place in places))

    def test_bad_requests_are_refused(self):
        self.assertIn("int8", self.error_of("generate", "--model", self.model, "--dtype", "int4", code=2))
        for words, code, *arguments in (
            ("--model", 2),
            ("no such file", 3, "--model", "/nowhere"),
            ("no checkpoint", 3, "--model", self.text),
            ("at least 0", 2, "--model", self.model, "--temperature", "-1"),
            ("finite", 2, "--model", self.model, "--temperature", "nan"),
            ("more than 0", 2, "--model", self.model, "--top-p", "0"),
            ("integer", 2, "--model", self.model, "--tokens", "1e3"),
            ("at least 1", 2, "--model", self.model, "--n", "0"),
            ("must not be empty", 2, "--model", self.model, "--stop", ""),
            ("needs --json", 2, "--model", self.model, "--logprobs", "2"),
            ("exclude each other", 2, "--model", self.model, "--prompt", "a", "--prompt-file", self.text),
            ("2^63", 2, "--model", self.model, "--seed", str(2**63 - 1), "--n", "2"),
            ("no such file", 3, "--model", self.model, "--prompt-file", "/nowhere"),
            ("regular file", 3, "--model", self.model, "--prompt-file", "/dev/zero"),
        ):
            self.assertIn(words, self.error_of("generate", *arguments, code=code))

    def test_eval_says_the_same_of_a_folder_and_of_its_text(self):
        score = self.score()
        self.assertEqual((score["task"], score["protocol"], score["tokens"], score["bytes"]), ("text", "windows", 699, 699))
        self.assertEqual(score["windows"], math.ceil(699 / 16))
        self.assertAlmostEqual(score["perplexity"], math.exp(score["loss"]), places=6)
        self.assertAlmostEqual(score["bits_per_byte"], score["loss"] / math.log(2), places=9)
        self.assertGreater(score["stderr"], 0)
        self.assertEqual(self.score(data=self.text)["loss"], score["loss"])
        self.assertEqual(self.score(data=os.path.join(self.data, "val.bin"))["loss"], score["loss"])

    def test_more_context_predicts_better(self):
        strided = self.score("--stride", "2")
        self.assertEqual((strided["protocol"], strided["tokens"]), ("strided", 699))
        self.assertLess(strided["loss"], self.score()["loss"])

    def test_ngrams_are_scored_on_the_tokens_that_eval_text_scores(self):
        grams = self.json_of("eval", "ngrams", "--data", self.data, "--tokenizer", "byte", "--json")
        self.assertEqual(grams["tokens"], self.score()["tokens"])
        self.assertLess(grams["bigram"], grams["unigram"])

    def test_a_prompt_outside_the_vocabulary_is_refused_by_place(self):
        data, model, path = (os.path.join(self.folder, name) for name in ("letters", "letters-run", "euro.txt"))
        self.run_aot("data", "prepare", self.text, "--tokenizer", "char", "--out", data)
        self.run_aot("train", "--data", data, "--out", model, "--width", "16", "--layers", "1", "--heads", "1", "--context", "16", "--steps", "2",
                     "--warmup", "1", "--batch", "2", "--threads", "1")
        with open(path, "w", encoding="utf-8") as file:
            file.write("the\u20act")
        generate = ["generate", "--model", model]
        self.assertIn("--prompt: line 1, column 2: U+20AC", self.error_of(*generate, "--prompt", "c\u20act", code=3))
        self.assertIn("euro.txt: line 1, column 4: U+20AC", self.error_of(*generate, "--prompt-file", path, code=3))
        self.assertIn("euro.txt: line 1, column 4: U+20AC", self.error_of("eval", "text", "--model", model, "--data", path, code=3))

    def test_data_of_another_tokenizer_is_refused(self):
        prepared = {name: os.path.join(self.folder, name) for name in ("byte", "char")}
        for name, out in prepared.items():
            self.run_aot("data", "prepare", self.text, "--tokenizer", name, "--val", "0.5", "--out", out)
        error = self.error_of("eval", "text", "--model", self.model, "--data", prepared["char"], code=3)
        self.assertIn("another tokenizer", error)
        self.assertGreater(self.score(data=prepared["byte"])["tokens"], 300)

    def test_data_that_cannot_be_scored_is_refused(self):
        other = os.path.join(self.folder, "other")
        os.mkdir(other)
        with open(os.path.join(other, "train.bin"), "wb") as file:
            array.array("H", [0, 1, 2]).tofile(file)
        one, empty = os.path.join(self.folder, "one.txt"), os.path.join(self.folder, "empty.txt")
        for path, content in ((one, "a"), (empty, "")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        eval_text = ["text", "--model", self.model]
        for words, code, *arguments in (
            ("--data", 2, *eval_text),
            ("no such", 3, *eval_text, "--data", "/nowhere"),
            ("need at least", 3, *eval_text, "--data", one),
            ("empty", 3, *eval_text, "--data", empty),
            ("no split 'val'", 3, *eval_text, "--data", other),
            ("the model's context", 2, *eval_text, "--data", self.data, "--stride", "17"),
            ("need one of val, train", 2, *eval_text, "--data", self.data, "--split", "test"),
            ("not a folder", 3, "ngrams", "--data", os.path.join(self.data, "val.bin"), "--tokenizer", "byte"),
        ):
            self.assertIn(words, self.error_of("eval", *arguments, code=code))


if __name__ == "__main__":
    unittest.main()
