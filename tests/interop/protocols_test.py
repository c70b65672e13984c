# SPDX-License-Identifier: Apache-2.0
"""`aot eval` on LAMBADA, the Children's Book Test, PTB and WikiText against the same protocols in plain torch: small files in the formats of the
published ones, small trained models, number for number and count for count."""
import json
import math
import pathlib
import random
import re
import unittest

import plain
import plain_protocols as protocols
from support import InteropTest, load_exported, torch

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CONTEXT = 160
NAMES, COLOURS, THINGS = ["tom", "anna", "peter"], ["red", "green", "blue", "yellow"], ["ball", "house", "horse", "river", "stone"]
WORDS = COLOURS + THINGS + ["wooden house"]  # the options of a question


def sentence(draw):
    name, colour, thing = draw.choice(NAMES), draw.choice(COLOURS), draw.choice(THINGS)
    return draw.choice([f"{name} has a {colour} {thing} .", f"the {thing} of {name} is {colour} .", f"`` it is {colour} , '' said {name} .",
                        f"{name} did n't see it ."])


class Protocols(InteropTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        draw = random.Random(1)
        cls.draw = random.Random(2)
        text = "".join(" ".join(sentence(draw) for _ in range(5)) + ("\n" if i % 2 else " \n \n") for i in range(400))
        (cls.folder / "stories.txt").write_text(text)
        cls.run_aot("data", "prepare", cls.folder / "stories.txt", "--tokenizer", "bpe", "--vocab", 500, "--out", cls.folder / "stories")
        size = ["--width", 32, "--layers", 2, "--heads", 2, "--context", CONTEXT, "--steps", 60, "--batch", 4, "--lr", 0.01, "--warmup", 5,
                "--eval-windows", 2, "--seed", 1, "--quiet", "--data", cls.folder / "stories"]
        gpt2 = ["--mixer", "mhsa", "--block", "gpt2", "--no-rotary", "--position", "learned"]
        cls.models = []
        for name, kind in {"gpt2": gpt2, "mssa": ["--mixer", "mssa"]}.items():
            run = cls.folder / f"run-{name}"
            cls.run_aot("train", "--out", run, *size, *kind)
            cls.models.append((run, cls.logits_of(name, run)))
        cls.bpe = protocols.Bpe(cls.folder / "stories" / "tokenizer.json")

    @classmethod
    def logits_of(cls, name, run):
        """Log-probabilities (T, V) by Python alone: of the weights by plain formulas, or by the Python files that an export carries."""
        out = cls.folder / f"out-{name}.pt"
        cls.run_aot("convert", run, "--to", "nanogpt" if name == "gpt2" else "hf", out)
        if name == "gpt2":
            weights = {key: tensor.double() for key, tensor in torch.load(out)["model"].items()}
            return lambda ids: plain.gpt2(weights, torch.tensor([ids]), 2, 2)[0].log_softmax(-1)
        model = load_exported(out)

        def log_probabilities(ids):
            with torch.no_grad():
                return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)

        return log_probabilities

    def rows(self, task, protocol, data, *more):
        """The results of all models, and what each example gave."""
        samples = self.folder / "samples.jsonl"
        models = [part for run, _ in self.models for part in ("--model", run)]
        done = self.run_aot("eval", task, "--protocol", protocol, *models, "--data", data, "--json", "--log-samples", samples, *more)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([row["task"] for row in rows], [task] * len(self.models))
        logged = [json.loads(line) for line in samples.read_text().splitlines()]
        return rows, [[sample for sample in logged if sample["model"] == row["model"]] for row in rows]

    def assert_row(self, row, wanted):
        for key, value in wanted.items():
            if isinstance(value, float):
                self.assertLessEqual(abs(row[key] - value), 1e-4 * max(1, abs(value)), f"{key}: {row[key]}, need {value}")
            else:
                self.assertEqual(row[key], value, key)

    def check_text(self, task, protocol, data, tokens, words, *more, **settings):
        rows, samples = self.rows(task, protocol, data, *more)
        for row, logged, (_, model) in zip(rows, samples, self.models):
            self.assert_row(row, protocols.text_score(model, tokens, words, CONTEXT, protocol, **settings))
            self.assertEqual(len(logged), row["windows"])
            self.assertAlmostEqual(sum(sample["nats"] for sample in logged) / row["tokens"], row["loss"], places=6)
        return rows

    def test_perplexities_of_lines(self):
        paragraphs = [f" {sentence(self.draw)} {sentence(self.draw)} " for _ in range(60)]
        lines = {"ptb": [f" {sentence(self.draw)[:-2].replace('blue', '<unk>').replace('red', 'N')} " for _ in range(90)],
                 "wikitext2": [" ", " = Valkyria = ", " ", *paragraphs, " ", " = = More @-@ = = "]}
        lines["wikitext103"] = lines["wikitext2"]
        for task, items in lines.items():
            data = self.folder / f"{task}.txt"
            data.write_text("".join(line + "\n" for line in items))
            tokens, words = protocols.item_tokens(items, self.bpe)
            self.assertGreater(len(tokens), 3 * CONTEXT)
            for protocol, more, settings in [("tost", ["--windows", 200, "--seed", 3], {"count": 200, "seed": 3}), ("windows", [], {}),
                                             ("word", [], {}), ("strided", [], {"stride": CONTEXT // 2}),
                                             ("strided", ["--stride", 50], {"stride": 50})]:
                with self.subTest(task=task, protocol=protocol):
                    row = self.check_text(task, protocol, data, tokens, words, *more, **settings)[0]
                    self.assert_row(row, {"protocol": protocol, "items": len(items), "separator": "<|endoftext|>", "published": False})
        with self.subTest("first lines"):
            tokens, words = protocols.item_tokens(lines["ptb"][:60], self.bpe)
            self.check_text("ptb", "windows", self.folder / "ptb.txt", tokens, words, "--limit", 60)

    def test_penn_treebank_de_tokenised(self):
        items = [f" {sentence(self.draw)[:-2]} " for _ in range(40)]
        (self.folder / "raw.txt").write_text("\n".join(items))
        text = "\n".join(item.strip().replace(" n't", "n't") for item in items)
        tokens, words = self.bpe.encode(text), sum(len(item.split()) for item in items)
        rows, _ = self.rows("ptb", "word", self.folder / "raw.txt", "--detokenise")
        for row, (_, model) in zip(rows, self.models):
            self.assert_row(row, {**protocols.text_score(model, tokens, words, CONTEXT, "word"), "protocol": "word, de-tokenised"})

    def test_prepared_text_and_plain_files(self):
        text = "".join(sentence(self.draw) + "\n" for _ in range(80))
        (self.folder / "plain.txt").write_text(text)
        tokens, words = self.bpe.encode(text), len(text.split())
        for protocol, settings in [("windows", {}), ("word", {}), ("strided", {"stride": CONTEXT // 2})]:
            self.check_text("text", protocol, self.folder / "plain.txt", tokens, words, **settings)
        words = len(self.bpe.decode(tokens[:200]).split())
        self.check_text("text", "tost", self.folder / "plain.txt", tokens[:200], words, "--limit", 200, "--windows", 50, count=50)

    def passages(self):
        """Stories that end with a guessable word, with one that models have seen too often, with a quotation, past the context, and with one word."""
        texts = []
        for number in range(60):
            before = " ".join(sentence(self.draw) for _ in range(1 + number % 5))
            colour, thing = self.draw.choice(COLOURS), self.draw.choice(THINGS)
            texts.append(before + self.draw.choice([f" the {thing} of tom is {colour}", f" `` it is {colour} , '' said {self.draw.choice(NAMES)}",
                                                    " anna has a", " peter did n't see the", " and", f" “ it is {colour} , ” said Anna"]))
        return [*texts, " ".join(sentence(self.draw) for _ in range(60)) + " the ball", "word", texts[0]]

    def test_the_last_words_of_lambada(self):
        texts = self.passages()
        data = self.folder / "lambada.jsonl"
        data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        listed = re.findall(r'"([a-z]+)"', (SOURCE / "src/aot/eval/stop_words.cpp").read_text())
        for protocol in ("tost", "openai-greedy", "gpt2-paper"):
            with self.subTest(protocol):
                rows, samples = self.rows("lambada", protocol, data)
                self.assertGreater(max(row["accuracy"] for row in rows), 0, "some must be right, or nothing is shown")
                for row, logged, (_, model) in zip(rows, samples, self.models):
                    wanted = protocols.lambada(model, self.bpe, texts, protocol, CONTEXT, set(listed))
                    self.assertEqual(len(logged), len(texts))
                    for found, expected in zip(logged, wanted):
                        self.assert_row(found, {key: value for key, value in expected.items() if key in found})
                    accuracy, error = protocols.mean_and_error([sample["correct"] for sample in wanted])
                    self.assert_row(row, {"accuracy": accuracy, "stderr": error, "count": len(texts), "cut": 1})
                    if protocol == "tost":
                        strict, error = protocols.mean_and_error([sample["strict"] for sample in wanted])
                        self.assert_row(row, {"strict": strict, "strict_stderr": error})
                        continue
                    loss, error = protocols.mean_and_error([sample["nats"] for sample in wanted])
                    tokens = sum(sample["tokens"] for sample in wanted)
                    self.assert_row(row, {"loss": loss, "loss_stderr": error, "perplexity": math.exp(loss), "tokens": tokens,
                                          "nats_per_token": loss * len(texts) / tokens})
                    if protocol == "gpt2-paper":
                        last, error = protocols.mean_and_error([sample["last_token"] for sample in wanted])
                        self.assert_row(row, {"last_token": last, "last_token_stderr": error})
                        self.assertGreater(row["stop_tokens"], 0)

    def test_the_loss_on_lambada(self):
        texts = self.passages()
        data = self.folder / "lambada.txt"
        data.write_text("".join(text + "\n" for text in texts))
        tokens, words = protocols.item_tokens(texts, self.bpe)
        for protocol, more, settings in [("tost-loss", ["--windows", 100], {"count": 100}), ("windows", [], {}), ("word", [], {}),
                                         ("strided", [], {"stride": CONTEXT // 2})]:
            row = self.check_text("lambada", protocol, data, tokens, words, *more, **settings)[0]
            self.assertEqual(row["protocol"], protocol)

    def questions(self):
        out = []
        for number in range(12):
            sentences = [f"{self.draw.choice(NAMES)} has a {self.draw.choice(COLOURS)} ball ." for _ in range(20)]
            if number == 3:
                sentences = [f"{sentence(self.draw)} {sentence(self.draw)}" for _ in range(20)]  # past the context
            query = self.draw.choice(["the XXXXX of tom is red .", "`` XXXXX , '' said anna , `` the XXXXX . ''", "XXXXX did n't see it .",
                                      "tom has a XXXXX"])
            options = self.draw.sample(WORDS, 10)
            out.append((sentences, query, self.draw.choice(options), options))
        return out

    def test_the_childrens_book_test(self):
        questions = self.questions()
        data = self.folder / "cbt.txt"
        data.write_text("\n".join("".join(f"{i} {text}\n" for i, text in enumerate(sentences, 1)) + f"21 {query}\t{answer}\t\t{'|'.join(options)}\n"
                                  for sentences, query, answer, options in questions))
        for task, protocol in [("cbt-cn", "tost"), ("cbt-ne", "tost"), ("cbt-cn", "gpt2-paper"), ("cbt-ne", "gpt2-paper")]:
            with self.subTest(task=task, protocol=protocol):
                rows, samples = self.rows(task, protocol, data)
                for row, logged, (_, model) in zip(rows, samples, self.models):
                    right = cut = 0
                    for found, (sentences, query, answer, options) in zip(logged, questions):
                        scores, is_cut = protocols.cloze_scores(model, self.bpe, sentences, query, options, protocol, CONTEXT)
                        self.assertEqual((found["options"], found["answer"], found["cut"]), (options, answer, is_cut))
                        self.assertEqual(found["chosen"], options[max(range(10), key=lambda i: scores[i])])
                        for i in range(10):  # what all share is not scored
                            self.assertLess(abs((found["scores"][i] - found["scores"][0]) - (scores[i] - scores[0])), 1e-4)
                        right += found["chosen"] == answer
                        cut += is_cut
                    accuracy, error = protocols.mean_and_error([1] * right + [0] * (len(questions) - right))
                    self.assert_row(row, {"accuracy": accuracy, "stderr": error, "count": len(questions), "cut": cut})
                    self.assertLess(cut, len(questions))

    def test_one_table_of_several_models(self):
        data = self.folder / "table.txt"
        data.write_text("".join(sentence(self.draw) + "\n" for _ in range(30)))
        models = [part for run, _ in self.models for part in ("--model", run)]
        lines = self.run_aot("eval", "ptb", "--protocol", "windows", *models, "--data", data).stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[0].startswith("| model | protocol | nats/token | ± | perplexity |"))
        self.assertRegex(lines[1], r"\A\|( --- \|)+\Z")
        for line in lines[2:]:
            self.assertIn("| windows |", line)


if __name__ == "__main__":
    unittest.main()
