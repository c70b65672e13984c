#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Validation losses of small models on one character-level text, beside reference losses measured with PyTorch at the same settings.

  bench/references.py --text tinyshakespeare.txt                  every row, two seeds; prints a Markdown table
  bench/references.py --text tinyshakespeare.txt --rows gpt2-learned,mssa-rotary --seeds 1

The references hold for the tinyshakespeare text: 65 characters, first 90 % train, last 10 % validation, context 64, batch 12, 2,000 steps,
AdamW (0.9, 0.99, decay 0.1), rate 1e-3 -> 1e-4 after 100 steps of warm-up. These are the command's defaults.
Runs go two at a time with one thread each, which is the quickest for models of this size.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

MSSA = ["--mixer", "mssa"]
MHSA = ["--mixer", "mhsa"]
GPT2 = ["--mixer", "mhsa", "--block", "gpt2"]
LEARNED = ["--position", "learned", "--no-rotary"]
ROTARY = ["--position", "none", "--rotary"]
BOTH = ["--position", "learned", "--rotary"]
GATE = ["--gate", "silu"]
TIED = ["--output", "tied", "--step-size", "scalar"]


def size(width, layers, heads):
    return ["--width", str(width), "--layers", str(layers), "--heads", str(heads)]


# name, what it is, flags, reference losses by seed
ROWS = [
    ("gpt2-learned", "GPT-2 block, 128 x 4, learned", GPT2 + size(128, 4, 4) + LEARNED, [1.910]),
    ("gpt2-rotary", "GPT-2 block, 128 x 4, rotary", GPT2 + size(128, 4, 4) + ROTARY, [1.780, 1.801]),
    ("mhsa-learned", "MHSA, 128 x 4, learned", MHSA + size(128, 4, 4) + LEARNED, [2.107]),
    ("mhsa-both", "MHSA, 192 x 6, learned + rotary", MHSA + size(192, 6, 6) + BOTH, [1.799]),
    ("mssa-learned", "MSSA untied, 128 x 4, learned", MSSA + size(128, 4, 4) + LEARNED, [2.330]),
    ("mssa-rotary", "MSSA untied, 256 x 6, rotary", MSSA + size(256, 6, 8) + ROTARY, [1.998]),
    ("mssa-tied-learned", "MSSA tied, scalar step, 128 x 4, learned", MSSA + size(128, 4, 4) + LEARNED + TIED, [2.533]),
    ("mssa-gated", "MSSA untied, gate, 208 x 6, rotary", MSSA + size(208, 6, 8) + ROTARY + GATE, [1.767, 1.748, 1.762]),
    ("mssa-tied-gated", "MSSA tied, scalar step, gate, 256 x 6, rotary", MSSA + size(256, 6, 8) + ROTARY + TIED + GATE, [1.785]),
    ("mhsa-gated", "MHSA, gate, 160 x 6, rotary", MHSA + size(160, 6, 5) + ROTARY + GATE, [1.634]),
]


def final_loss(aot, data, out, flags, seed):
    """Trains one model and returns the validation loss over all windows of the last weights."""
    command = [aot, "--quiet", "train", "--data", data, "--out", out, "--seed", str(seed), "--threads", "1", "--eval-every", "0", "--save-every", "0"]
    subprocess.run(command + flags, check=True, stdout=subprocess.DEVNULL)
    text = [aot, "--quiet", "eval", "text", "--model", os.path.join(out, "checkpoints", "last"), "--data", data, "--threads", "1", "--json"]
    return json.loads(subprocess.run(text, check=True, capture_output=True, text=True).stdout)["loss"]


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--text", required=True, help="the text file")
    cli.add_argument("--seeds", type=int, default=2)
    cli.add_argument("--rows", default=",".join(row[0] for row in ROWS), help="names, separated by commas")
    cli.add_argument("--aot", default=str(ROOT / "build/release/aot"))
    o = cli.parse_args()
    wanted = o.rows.split(",")
    unknown = set(wanted) - {row[0] for row in ROWS}
    if unknown:
        sys.exit(f"unknown rows: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        data = os.path.join(folder, "data")
        subprocess.run([o.aot, "--quiet", "data", "prepare", o.text, "--tokenizer", "char", "--val", "0.1", "--out", data], check=True)
        rows = [row for row in ROWS if row[0] in wanted]
        runs = {
            (row[0], seed): pool.submit(final_loss, o.aot, data, os.path.join(folder, f"{row[0]}-{seed}"), row[2], seed)
            for row in rows
            for seed in range(1, o.seeds + 1)
        }
        print("| model | reference | ours, by seed | mean over the reference |")
        print("| --- | --- | --- | --- |")
        worst = -9.0
        for name, what, _, reference in rows:
            ours = [runs[name, seed].result() for seed in range(1, o.seeds + 1)]
            over = statistics.mean(ours) - statistics.mean(reference)
            worst = max(worst, over)
            print(f"| {what} | {statistics.mean(reference):.3f} | {', '.join(f'{loss:.3f}' for loss in ours)} | {over:+.3f} |", flush=True)
    print(f"\nlargest excess: {worst:+.3f} (bar 0.04)")
    sys.exit(worst > 0.04)


if __name__ == "__main__":
    main()
