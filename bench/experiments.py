#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The experiments behind docs/results.md: trains small models over seeds by `aot train`, measures them, prints a table in Markdown.

  bench/experiments.py digits --images t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz --out digits
  bench/experiments.py shapes --out shapes                       heads of vision models against known masks
  bench/experiments.py icl --out icl                             functions in context beside classical methods
  bench/experiments.py presets --text tinyshakespeare.txt --out presets    which settings the tiny language models take

Runs go two at a time with one thread each, the quickest way for models of this size; times are those of such a run. Those that are finished in OUT already
are not made again, and one that was stopped goes on. `--only` takes names separated by commas, `--seeds` how many.
"""
import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIGITS = ["vit", "aot-mhsa-v", "aot-mssa-v", "aot-mssa-gated-v", "crate", "tost"]
# MSSA takes 1,500 steps to begin, at rates that the others do not stand.
SHAPES = {
    "vit": ["--width", "96", "--layers", "4", "--lr", "5e-4", "--steps", "1500"],
    "aot-mhsa-v": ["--width", "96", "--layers", "12", "--lr", "5e-4", "--steps", "1500"],
    "aot-mssa-v": ["--width", "192", "--layers", "6", "--lr", "1e-3", "--steps", "3000"],
}
ICL = ["icl-gpt2-small", "icl-mhsa-small", "icl-mssa-small", "icl-mssa-rotary-small", "icl-mssa-gated-small"]
# The settings that the tiny presets were chosen from.
TINY = ["aot-mssa-tiny", "aot-mssa-gated-tiny", "aot-mhsa-tiny", "gpt2-tiny"]
SETTINGS = {"lr": "1e-3", "min-lr": "1e-4", "weight-decay": "0.1", "beta2": "0.99"}
CHANGES = {
    "lr 1e-3": {},
    "lr 2e-3": {"lr": "2e-3"},
    "lr 4e-3": {"lr": "4e-3", "min-lr": "2e-4"},
    "lr 2e-3, decay 0.3": {"lr": "2e-3", "weight-decay": "0.3"},
    "lr 2e-3, beta2 0.95": {"lr": "2e-3", "beta2": "0.95"},
}


class Lab:
    def __init__(self, o):
        self.o = o
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        o.out.mkdir(parents=True, exist_ok=True)

    def aot(self, *arguments):
        done = subprocess.run([self.o.aot, "--quiet", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"experiments: aot {' '.join(map(str, arguments))}\nended with {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def train(self, name, seed, flags):
        """The summary of a run, made now unless it is there."""
        run = self.o.out / "runs" / f"{name}-{seed}"
        if not (run / "summary.json").exists():
            common = ["--resume", "auto", "--out", run, "--seed", seed, "--threads", "1", "--save-every", "200"]
            self.aot("train", *common, *flags)
            print(f"{run}: done", file=sys.stderr)
        return run, json.loads((run / "summary.json").read_text())

    def all(self, flags_of):
        """{name: [(run, summary) by seed]} for every name in flags_of."""
        seeds = range(1, self.o.seeds + 1)
        jobs = {(name, seed): self.pool.submit(self.train, name, seed, flags) for name, flags in flags_of.items() for seed in seeds}
        try:
            return {name: [jobs[name, seed].result() for seed in seeds] for name in flags_of}
        except BaseException:  # otherwise everything queued would still be run
            self.pool.shutdown(wait=False, cancel_futures=True)
            raise

    def chosen(self, names):
        wanted = self.o.only.split(",") if self.o.only else list(names)
        if unknown := set(wanted) - set(names):
            sys.exit(f"experiments: unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
        return wanted


def spread(values, form="{:.3f}"):
    """Mean, and the smallest and the largest."""
    return f"{form.format(statistics.mean(values))} ({form.format(min(values))} to {form.format(max(values))})"


def digits(lab):
    data = lab.o.out / "data"
    if not data.exists():
        lab.aot("data", "prepare", "--images", lab.o.images, "--labels", lab.o.labels, "--val-count", 1000, "--out", data)
    flags = {name: ["--data", data, "--preset", f"{name}-digits", "--eval-every", "0"] for name in lab.chosen(DIGITS)}
    print("| model | parameters | top-1, last weights: mean (least to most) | seconds of training | waiting for data |\n| --- | --- | --- | --- | --- |")
    for name, runs in lab.all(flags).items():
        top1 = [100 * summary["val_top1"] for _, summary in runs]
        waits = statistics.mean(summary["data_wait"] for _, summary in runs)
        seconds = statistics.mean(summary["seconds"] for _, summary in runs)
        print(f"| {name} | {runs[0][1]['parameters']:,} | {spread(top1, '{:.1f}')} | {seconds:.0f} | {waits:.1%} |")


def shapes(lab):
    data = lab.o.out / "data"
    if not data.exists():
        lab.aot("data", "make", "shapes", "--count", 10000, "--val", 0.04, "--seed", 1, "--out", data)
    common = ["--data", data, "--patch", "8", "--image-size", "64", "--channels", "3", "--classes", "8", "--batch", "64", "--flip", "0.5", "--eval-every", "0"]
    flags = {name: ["--preset", f"{name}-digits", *common, *SHAPES[name]] for name in lab.chosen(SHAPES)}
    controls = ("permuted_heads", "random_projections", "whole_picture")
    print("| model | top-1 | IoU of the best head | pixels right | IoU, " + " | IoU, ".join(c.replace("_", " ") for c in controls) + " |\n|" + " --- |" * 7)
    for name, runs in lab.all(flags).items():
        rows = [json.loads(lab.aot("eval", "segmentation", "--model", run, "--data", data, "--json")) for run, _ in runs]
        cells = [spread([row["iou"] for row in rows]), spread([row["pixel_accuracy"] for row in rows])]
        cells += [spread([row[control]["iou"] for row in rows]) for control in controls]
        print(f"| {name} | {spread([100 * summary['val_top1'] for _, summary in runs], '{:.1f}')} | {' | '.join(cells)} |")
        lab.aot("explain", "heatmaps", "--model", runs[0][0], "--data", data, "--out", lab.o.out / f"maps-{name}")


def icl(lab):
    for problem in ("linear", "sparse-linear"):
        flags = {f"{name}-{problem}": ["--preset", name, "--problem", problem, "--eval-every", "0"] for name in lab.chosen(ICL)}
        runs = lab.all(flags)
        for seed in range(lab.o.seeds):
            models = [part for found in runs.values() for part in ("--model", found[seed][0])]
            lab.aot("icl", "eval", *models, "--out", lab.o.out / f"{problem}-{seed + 1}")
        for name, found in runs.items():
            seconds, waits = ([summary[key] for _, summary in found] for key in ("seconds", "data_wait"))
            losses = [summary["val_loss"] for _, summary in found]
            print(f"{name}: {statistics.mean(seconds):.0f} s, {statistics.mean(waits):.1%} of it drawing prompts, squared error {spread(losses)}")
        print((lab.o.out / f"{problem}-1" / "errors.md").read_text())


def presets(lab):
    data = lab.o.out / "data"
    if not data.exists():
        lab.aot("data", "prepare", lab.o.text, "--tokenizer", "char", "--val", "0.1", "--out", data)
    names = lab.chosen(TINY)
    flags = {}
    for name in names:
        for change, values in CHANGES.items():
            settings = [part for flag, value in {**SETTINGS, **values}.items() for part in (f"--{flag}", value)]
            flags[name, change] = ["--data", data, "--preset", name, "--eval-every", "0", *settings]
    runs = lab.all({f"{name}-{change}".replace(" ", "-").replace(",", ""): more for (name, change), more in flags.items()})
    print("| settings | " + " | ".join(names) + " |\n|" + " --- |" * (len(names) + 1))
    for change in CHANGES:
        cells = [spread([s["val_loss"] for _, s in runs[f"{name}-{change}".replace(" ", "-").replace(",", "")]]) for name in names]
        print(f"| {change} | {' | '.join(cells)} |")


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("what", choices=["digits", "shapes", "icl", "presets"])
    cli.add_argument("--out", required=True, type=pathlib.Path, help="folder for data, runs and results")
    cli.add_argument("--images", help="digits: IDX file")
    cli.add_argument("--labels", help="digits: IDX file")
    cli.add_argument("--text", help="presets: text file")
    cli.add_argument("--seeds", type=int, default=3)
    cli.add_argument("--only", default="")
    cli.add_argument("--aot", default=str(ROOT / "build/release/aot"))
    o = cli.parse_args()
    if needed := [name for name in {"digits": ("images", "labels"), "presets": ("text",)}.get(o.what, ()) if getattr(o, name) is None]:
        cli.error(f"{o.what} needs --{needed[0]}")
    {"digits": digits, "shapes": shapes, "icl": icl, "presets": presets}[o.what](Lab(o))


if __name__ == "__main__":
    main()
