#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do exported models have the log-likelihoods in lm-evaluation-harness that they have in `aot eval text`?

  bench/lm_eval_agreement.py                     three small models; prints a Markdown table, exit 1 when a difference exceeds 1e-4 nats per token

Needs a Python with torch, transformers and lm_eval (pip install lm-eval[hf]), and build/release/aot. Nothing is fetched: the text is this Python's own
library (scripts/demo_text.py), the task a file made here. About 3 minutes on two cores.

Every document is "A" and a passage, so that its first token is that letter whatever follows. The harness is asked for the log-likelihood of the
passage after "A", which is the sum that `aot eval text` takes over the same file; and in a few other documents for each word after all before it,
which is a difference of two such sums.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOUND = 1e-4  # nats per token
SIZE = ["--width", "96", "--layers", "3", "--heads", "3", "--context", "256", "--batch", "8", "--steps", "150", "--lr", "3e-3", "--warmup", "10",
        "--eval-every", "0", "--save-every", "0"]
GPT2 = ["--mixer", "mhsa", "--block", "gpt2", "--no-rotary", "--position", "learned", "--activation", "gelu-tanh", "--bias"]
MODELS = [  # name, flags, what it is exported to
    ("MSSA, gate, rotary", ["--mixer", "mssa", "--gate", "silu"], "hf"),
    ("TSSA and MLP, learned positions", ["--mixer", "tssa", "--block", "gpt2", "--no-rotary", "--position", "learned", "--step-size", "channel"], "hf"),
    ("GPT-2 block as GPT2LMHeadModel", GPT2, "gpt2"),
]
TASK = """task: aot_agreement
dataset_path: json
dataset_kwargs: {{data_files: {{test: {0}}}, cache_dir: {1}}}
test_split: test
output_type: loglikelihood
doc_to_text: before
doc_to_target: after
target_delimiter: ""
metric_list: [{{metric: acc}}]
"""


def passages(text, count, rng):
    """Of one to thirty words of the text, the long ones left out, with single spaces: "A word word"."""
    words = [word for word in text.split() if len(word) < 12]
    starts = [rng.randrange(len(words) - 30) for _ in range(count)]
    return ["A " + " ".join(words[start : start + rng.randrange(1, 31)]) for start in starts]


class Aot:
    def __init__(self, command, folder):
        self.command, self.folder = command, folder

    def run(self, *arguments):
        return subprocess.run([self.command, *map(str, arguments), "--quiet"], check=True, capture_output=True, text=True).stdout

    def score(self, model, text):
        """Log-likelihood of all tokens but the first, and how many they are."""
        if text == "A":
            return 0.0, 0
        (self.folder / "document.txt").write_text(text)
        row = json.loads(self.run("eval", "text", "--model", model, "--data", self.folder / "document.txt", "--json"))
        if row["windows"] != 1:
            sys.exit(f"a document of {row['tokens']} tokens does not fit into one window")
        return -row["loss"] * row["tokens"], row["tokens"]


def harness_scores(folder, task_folder, pairs):
    """Log-likelihoods by the harness of (before, after)."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    documents = task_folder / "documents.jsonl"
    documents.write_text("".join(json.dumps({"before": before, "after": after}) + "\n" for before, after in pairs))
    (task_folder / "task.yaml").write_text(TASK.format(documents, task_folder / "cache"))
    model = f"pretrained={folder},tokenizer={folder},trust_remote_code=True"
    tasks = TaskManager(include_path=str(task_folder), include_defaults=False)
    found = lm_eval.simple_evaluate(model="hf", model_args=model, tasks=["aot_agreement"], task_manager=tasks, device="cpu", batch_size=8, log_samples=True, bootstrap_iters=0)
    samples = sorted(found["samples"]["aot_agreement"], key=lambda sample: sample["doc_id"])
    return [sample["resps"][0][0][0] for sample in samples]


def agreement(aot, name, flags, target, data, documents, worded):
    run, exported = aot.folder / "run", aot.folder / "exported"
    aot.run("train", "--data", data, "--out", run, "--seed", 1, *SIZE, *flags)
    aot.run("convert", run, "--to", target, exported)
    # Those that are compared word by word are not asked for whole too: the harness takes requests that differ in their last token alone, or in
    # nothing but where the context ends, for one-token continuations of one context.
    pairs = [("A", document[1:]) for document in documents[worded:]]
    ours = [aot.score(run, document) for document in documents[worded:]]
    whole = len(pairs)
    for document in documents[:worded]:
        words = document.split(" ")
        scores = [aot.score(run, " ".join(words[:count])) for count in range(1, len(words) + 1)]
        pairs += [(" ".join(words[:count]), " " + words[count]) for count in range(1, len(words))]
        ours += [(b[0] - a[0], b[1] - a[1]) for a, b in zip(scores, scores[1:])]
    with tempfile.TemporaryDirectory() as task_folder:
        theirs = harness_scores(exported, pathlib.Path(task_folder), pairs)
    differences = [abs(sum_ - their) / tokens for (sum_, tokens), their in zip(ours, theirs)]
    tokens = sum(count for _, count in ours[:whole])
    mean = -sum(score for score, _ in ours[:whole]) / tokens
    print(f"| {name} | {mean:.4f} | {whole} passages, {tokens} tokens | {max(differences[:whole]):.1e} | {len(pairs) - whole} words | {max(differences[whole:]):.1e} |",
          flush=True)
    for path in (run, exported):
        shutil.rmtree(path)
    return max(differences)


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--aot", default=str(ROOT / "build/release/aot"))
    cli.add_argument("--documents", type=int, default=100)
    cli.add_argument("--worded", type=int, default=4, help="of them, those that are compared word by word")
    o = cli.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        aot = Aot(o.aot, folder)
        subprocess.run([sys.executable, ROOT / "scripts/demo_text.py", folder / "text.txt"], check=True, stdout=subprocess.DEVNULL)
        text = (folder / "text.txt").read_text()[:1_000_000]
        (folder / "text.txt").write_text(text)
        aot.run("data", "prepare", folder / "text.txt", "--tokenizer", "bpe", "--vocab", 1000, "--out", folder / "data")
        documents = passages(text, o.documents, random.Random(1))
        print("| model | nats per token | whole | largest difference per token | word by word | largest difference per token |", flush=True)
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        worst = max(agreement(aot, *model, folder / "data", documents, o.worded) for model in MODELS)
    sys.exit(0 if worst <= BOUND else f"differences of up to {worst:.1e} nats per token, more than {BOUND}")


if __name__ == "__main__":
    main()
