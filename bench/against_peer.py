#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times `aot bench` and the PyTorch peers in turns, one per process, and prints the ratios of the medians.

  python bench/against_peer.py decode
  python bench/against_peer.py step --vocab 50304 --batch 4 --peers sdpa,compile --rounds 7 --json out.json

Turns, because a machine's speed drifts: each round runs every program once, and a ratio is taken of medians over rounds.
Above 1 is faster than the peer. `--peer FILE` takes another program with the command line of bench/peer.py, `--python` another Python for it.
Needs only the standard library here; the peer needs torch.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SHAPE = {"width": 384, "layers": 6, "heads": 6, "tokens": 256, "vocab": 1000, "batch": 8}


def run(command, threads):
    """The last JSON row that `command` prints."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=False)
    if done.returncode != 0:
        sys.exit(f"against_peer: {' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()[-400:]}")
    rows = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not rows:
        sys.exit(f"against_peer: {' '.join(command)}\nprinted no row; is that peer known for this bench?")
    return json.loads(rows[-1])


def default_python():
    own = HERE.parent / ".venv/bin/python"
    return os.environ.get("AOT_PYTHON") or (str(own) if own.exists() else sys.executable)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("what", choices=["step", "decode"])
    for name, value in SHAPE.items():
        cli.add_argument(f"--{name}", type=int, default=value)
    cli.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    cli.add_argument("--seconds", type=float, default=2.0, help="measured in each process")
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--threads", type=int, default=os.cpu_count())
    cli.add_argument("--peers", help="comma-separated [decode: eager,sdpa; step: eager,sdpa,compile]")
    cli.add_argument("--peer", default=str(HERE / "peer.py"), help="the peers' program [bench/peer.py]")
    cli.add_argument("--python", default=default_python(), help="a Python with torch [AOT_PYTHON, else that of .venv, else this one]")
    cli.add_argument("--aot", default=str(HERE.parent / "build/release/aot"))
    cli.add_argument("--json", metavar="FILE", help="also write every row and the ratios here")
    o = cli.parse_args()

    names = (o.peers or ("eager,sdpa" if o.what == "decode" else "eager,sdpa,compile")).split(",")
    shape = {name: getattr(o, name) for name in SHAPE if name != "batch" or o.what == "step"}  # decode: one sequence
    common = [*(f"--{name}={value}" for name, value in shape.items()), f"--dtype={o.dtype}", f"--seconds={o.seconds}"]
    commands = {"aot": [o.aot, "bench", o.what, *common, "--json", f"--threads={o.threads}"]}
    for name in names:
        commands[name] = [o.python, o.peer, o.what, *common, "--peers", name]

    rows = {name: [] for name in commands}
    for index in range(o.rounds):
        for name, command in commands.items():
            rows[name].append(run(command, o.threads))
            print(f"round {index + 1} of {o.rounds}: {name} {rows[name][-1]['ms']:.3f} ms", file=sys.stderr)

    ours = rows["aot"]
    table = []
    for name, measured in rows.items():
        per_round = [theirs["ms"] / own["ms"] for theirs, own in zip(measured, ours)]
        table.append(
            {
                "peer": name,
                "ms": median(measured, "ms"),
                "tokens_per_s": median(measured, "tokens_per_s"),
                "memory_mb": median([{"mb": row["rss_mb"] - row["base_rss_mb"]} for row in measured], "mb"),
                "ratio": median(measured, "ms") / median(ours, "ms"),
                "ratio_range": [min(per_round), max(per_round)],
            }
        )
    result = {"what": o.what, "shape": shape, "dtype": o.dtype, "threads": o.threads, "rounds": o.rounds}
    result.update({"cpu": ours[0].get("cpu"), "torch": ours[0]["torch"], "fastest_peer_ratio": min(row["ratio"] for row in table[1:]), "peers": table})
    if o.json:
        pathlib.Path(o.json).write_text(json.dumps({**result, "rows": rows}, indent=1) + "\n")

    print(f"| {o.what} | ms | tokens/s | MB above the library | aot is faster by | in rounds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in table:
        low, high = row["ratio_range"]
        print(f"| {row['peer']} | {row['ms']:.3f} | {row['tokens_per_s']:.0f} | {row['memory_mb']:.0f} | {row['ratio']:.2f} | {low:.2f} to {high:.2f} |")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
