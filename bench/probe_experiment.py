#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do the layers of trained models denoise? Trains small AoT models on one text and probes them before, during and after training.

  bench/probe_experiment.py --text tinyshakespeare.txt --out experiment                three models, three seeds; prints tables in Markdown
  bench/probe_experiment.py --text tinyshakespeare.txt --out experiment --only tied --seeds 2

Models: AoT-MSSA tied (the paper's layer), AoT-MSSA untied, and the MHSA twin, all 128 x 12 with 8 heads of 16, LayerNorm before attention, rotary
positions, step 1, characters, context 64, batch 12, 4,000 steps, all other settings the command's defaults. About 1 min (MSSA) or 2 min (MHSA)
a run on two cores, 2.5 min for the probe. Runs that are there already are not trained again. Writes OUT/data, OUT/runs/NAME-SEED and OUT/probe: probe.json, probe.md,
probe-1.svg to probe-3.svg.
"""
import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

SHAPE = ["--width", "128", "--layers", "12", "--heads", "8", "--steps", "4000", "--eval-every", "1000", "--save-every", "250", "--keep", "20"]
MODELS = {
    "tied": ["--mixer", "mssa", "--output", "tied"],
    "untied": ["--mixer", "mssa", "--output", "untied"],
    "mhsa": ["--mixer", "mhsa"],
}


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--text", required=True, help="the text file")
    cli.add_argument("--out", required=True, type=pathlib.Path, help="folder for data, runs and results")
    cli.add_argument("--seeds", type=int, default=3)
    cli.add_argument("--only", default=",".join(MODELS), help="names, separated by commas")
    cli.add_argument("--stages", default="0,250,1000,last", help="as in aot theory probe --steps")
    cli.add_argument("--tokens", default="8192")
    cli.add_argument("--aot", default=str(ROOT / "build/release/aot"))
    o = cli.parse_args()
    names = o.only.split(",")
    unknown = set(names) - set(MODELS)
    if unknown:
        sys.exit(f"unknown models: {', '.join(sorted(unknown))}")
    data = o.out / "data"
    if not data.exists():
        subprocess.run([o.aot, "--quiet", "data", "prepare", o.text, "--tokenizer", "char", "--val", "0.1", "--out", data], check=True)
    models = []
    for name in names:
        for seed in range(1, o.seeds + 1):
            run = o.out / "runs" / f"{name}-{seed}"
            if not (run / "checkpoints" / "step-00004000").exists():
                command = [o.aot, "--quiet", "train", "--data", data, "--out", run, "--seed", str(seed), *SHAPE, *MODELS[name]]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            models += ["--model", run]
    probe = [o.aot, "--quiet", "theory", "probe", *models, "--data", data, "--steps", o.stages, "--tokens", o.tokens, "--seed", "1"]
    subprocess.run([*probe, "--out", o.out / "probe"], check=True)


if __name__ == "__main__":
    main()
