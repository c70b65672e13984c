#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times `aot bench` and the PyTorch peers in turns, one per process, and writes one table and one picture.

  python bench/against_pytorch.py                       every row of the table, about an hour
  python bench/against_pytorch.py --quick               attention at 256 and 1024 tokens, steps (a) and (c), decoding (a): three minutes
  python bench/against_pytorch.py --rows step --out bench-out

Turns, because a machine's speed drifts: each round runs ours, a peer, ours, the next peer, ...; a ratio is that of medians over rounds, and
the spread of ours over ours stands beside it: a ratio within that is noise. Above 1 is faster than the peer. `--peer FILE` takes another
program with the command line of bench/peer.py, `--python` another Python for it. Needs only the standard library here; the peer needs torch.
Rows over our own compare two uses of our program in the same way.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ("eager", "sdpa", "compile")
A = {"width": 384, "layers": 6, "heads": 6, "tokens": 256, "vocab": 1000}
B = {"width": 1024, "layers": 24, "heads": 16, "tokens": 1024, "vocab": 50304}
C = {"width": 384, "layers": 12, "heads": 6, "tokens": 197, "vocab": 10}


def attention(name, batch, tokens, heads=6, causal=True, dtype="float32", peers=("eager", "sdpa"), quick=False):
    mask = "causal" if causal else "none"
    ours = {"batch": batch, "tokens": tokens, "heads": heads, "mask": mask, "dtype": dtype}
    theirs = {"batch": batch, "tokens": tokens, "heads": heads, "width": 64 * heads, "dtype": dtype}
    return {"name": name, "what": "attention", "ours": ours, "theirs": theirs, "bidirectional": not causal, "peers": peers, "quick": quick}


def model(name, what, shape, batch, dtype="float32", causal=True, peers=PEERS, quick=False, **more):
    ours = {**shape, "batch": batch, "dtype": dtype}
    theirs = {**shape, "dtype": dtype} if what == "decode" else dict(ours)
    if not causal:
        ours["mask"] = "none"
    return {"name": name, "what": what, "ours": ours, "theirs": theirs, "bidirectional": not causal, "peers": peers, "quick": quick, **more}


def head(name, width, environment=None):
    """2,048 rows; `environment` is that of ours and the peer's."""
    theirs = {"batch": 8, "tokens": 256, "width": width, "vocab": 50304}
    return {"name": name, "what": "head", "ours": {"rows": 2048, "width": width, "vocab": 50304}, "theirs": theirs, "bidirectional": False,
            "peers": ("eager", "compile"), "quick": False, "environment": environment or {}}


def adamw(name, shape):
    return {"name": name, "what": "adamw", "ours": shape, "theirs": shape, "bidirectional": False, "peers": ("eager",), "quick": False}


def own(name, what, ours, other, over):
    """Our program with the flags `ours`, over itself with `other` in their place."""
    return {"name": name, "what": what, "ours": ours, "other": {**ours, **other}, "over": over, "peers": (), "quick": False}


def vision(name, preset, batch, **shape):
    """One training step of a vision preset; `shape` tells the peer what the preset says."""
    switches = [flag for flag, on in {"--bias": shape.pop("bias", False)}.items() if on]
    return {"name": name, "what": "vision-step", "ours": {"preset": preset, "batch": batch}, "theirs": {**shape, "batch": batch}, "bidirectional": False,
            "peers": PEERS, "quick": False, "switches": switches}


# What `aot bench decode --compare` times in turns with itself, in one process.
COMPARED = {"two_caches_ratio": "two caches", "libtorch_one_cache_float32_ratio": "LibTorch's operators, one cache"}

# What glibc is told so that freed blocks stay in the process. Our program tells it so itself.
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


# The models (a), (a'), (b), (c) are described in docs/bench.md.
ROWS = [
    attention("causal, T = 256", 32, 256, quick=True),
    attention("causal, T = 1024", 8, 1024, quick=True),
    attention("causal, T = 4096", 2, 4096, peers=("sdpa",)),
    attention("no mask, T = 197", 16, 197, causal=False),
    attention("no mask, T = 1024", 4, 1024, heads=16, causal=False, peers=("sdpa",)),
    attention("causal, T = 1024, bfloat16", 8, 1024, dtype="bfloat16", peers=("sdpa",)),
    model("step (a)", "step", A, 8, quick=True),
    model("step (a')", "step", {**A, "vocab": 50304}, 4),
    model("step (b)", "step", B, 2, peers=("sdpa",)),
    model("step (c), no mask", "step", C, 16, causal=False, quick=True),
    model("step (a), bfloat16", "step", A, 8, dtype="bfloat16", peers=("sdpa",)),
    vision("aot-mssa-v-digits", "aot-mssa-v-digits", 128, mixer="mssa", width=128, layers=6, heads=4),
    vision("vit-digits", "vit-digits", 128, mixer="mhsa", block="vit", bias=True, width=64, layers=4, heads=4),
    vision("vit-s", "vit-s", 8, mixer="mhsa", block="vit", bias=True, width=384, layers=12, heads=6, patch=16, channels=3, classes=1000, image_size=224),
    model("decode (a)", "decode", A, 1, peers=("eager", "sdpa"), quick=True),
    model("decode (b), T = 1024", "decode", B, 1, peers=("sdpa",)),
    model("decode (b), T = 16384", "decode", {**B, "tokens": 16384}, 1, peers=("sdpa",), compare=True),
    head("head, D = 384", 384),
    head("head, D = 1024", 1024),
    head("head, D = 384, tuned allocator", 384, TUNED),
    head("head, D = 1024, tuned allocator", 1024, TUNED),
    adamw("AdamW (a)", A),
    adamw("AdamW (b)", B),
    own("attention, rotary", "attention", {"batch": 32, "tokens": 256, "rotary": "true"}, {"rotary": "false"}, "without"),
    own("step (a), bfloat16", "step", {**A, "batch": 8, "dtype": "bfloat16"}, {"dtype": "float32"}, "float32"),
    own("step (a), listening and logging", "step", {**A, "batch": 8, "log": "FOLDER"}, {"log": ""}, "without"),
    own("step (a), two threads", "step", {**A, "batch": 8, "threads": 2}, {"threads": 1}, "one"),
    own("decode (b), bfloat16", "decode", {**B, "dtype": "bfloat16"}, {"dtype": "float32"}, "float32"),
    own("decode (b), int8", "decode", {**B, "dtype": "int8"}, {"dtype": "float32"}, "float32"),
]


def json_rows(command, o, environment):
    environment = {**os.environ, "OMP_NUM_THREADS": str(o.threads), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not rows:
        sys.exit(f"against_pytorch: {' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return {row["what"]: row for row in rows}


def flags(values):
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def commands_of(row, o):
    seconds = [f"--seconds={o.seconds}"]
    folder = {"log": o.log} if row["ours"].get("log") else {}

    def own_command(values):
        return [o.aot, "bench", row["what"], *flags({"threads": o.threads, **values}), *seconds, "--json"]

    ours = own_command({**row["ours"], **folder}) + (["--compare"] if row.get("compare") else [])
    if "other" in row:
        return ours, {"own": own_command(row["other"])}
    theirs = [o.python, o.peer, row["what"], *flags(row["theirs"]), *seconds, *(["--bidirectional"] if row["bidirectional"] else []), *row.get("switches", [])]
    peers = [peer for peer in row["peers"] if not (o.quick and peer == "compile")]
    return ours, {peer: [*theirs, "--peers", peer] for peer in peers}


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def memory(rows):
    """Above the loaded library; None where a row's process held more than its own way of doing things."""
    return statistics.median(row["rss_mb"] - row["base_rss_mb"] for row in rows) if "base_rss_mb" in rows[0] else None


def measure(row, o):
    """One line of the table for each thing that the row times."""
    ours_command, peer_commands = commands_of(row, o)
    environment = row.get("environment", {})
    ours, theirs = [], {peer: [] for peer in peer_commands}
    for index in range(o.rounds):
        ours.append(json_rows(ours_command, o, environment))
        for peer, command in peer_commands.items():
            theirs[peer].append(json_rows(command, o, environment))
            ours.append(json_rows(ours_command, o, environment))
        print(f"{row['name']}: round {index + 1} of {o.rounds}", file=sys.stderr)
    for what in ours[0]:
        own = [rows[what] for rows in ours]
        times = sorted(r["ms"] for r in own)
        line = {"name": row["name"], "what": what, "shape": row["ours"], "ms": median(own, "ms"), "memory_mb": memory(own)}
        line["spread"] = (times[-1] - times[0]) / statistics.median(times)
        for key in ("fraction", "ceiling_gflops", "path", "cpu", "torch", "threads", "error", "fallbacks"):
            if key in own[0]:
                line[key] = median(own, key) if isinstance(own[0][key], float) else own[0][key]
        line["over"] = row.get("over")
        line["peers"] = {}
        for peer, rows in theirs.items():
            if what not in rows[0]:
                continue
            other = [r[what] for r in rows]
            line["peers"][peer] = {"ms": median(other, "ms"), "ratio": median(other, "ms") / line["ms"], "memory_mb": memory(other)}
        yield line
        for key, over in COMPARED.items():
            if "compared" in own[0]:
                ratio = statistics.median(row["compared"][key] for row in own)
                yield {**line, "over": over, "peers": {"own": {"ratio": ratio, "memory_mb": None}}}


def cell(value, form="{:.2f}"):
    return "-" if value is None else form.format(value)


def markdown(lines):
    out = ["| what | over eager | over SDPA | over compile | over our own | share of peak | memory, ours / SDPA's | spread of ours |", "| --- " * 8 + "|"]
    for line in lines:
        ratios = [cell(line["peers"].get(peer, {}).get("ratio")) for peer in PEERS]
        own_ratio = line["peers"].get("own", {}).get("ratio")
        ratios.append("-" if own_ratio is None else f"{own_ratio:.2f} ({line['over']})")
        share = cell(line.get("fraction"), "{:.0%}")
        theirs = line["peers"].get("sdpa", {}).get("memory_mb")
        held = f"{line['memory_mb']:.0f} / {theirs:.0f} MB" if line["memory_mb"] is not None and theirs is not None else "-"
        title = line["name"] if line["what"] in ("training step", "decode", "clip, AdamW, zero") else f"{line['what']}, {line['name']}"
        out.append(f"| {title} | {' | '.join(ratios)} | {share} | {held} | {line['spread']:.0%} |")
    return "\n".join(out) + "\n"


def picture(lines):
    """Causal attention, forward and backward: share of peak against T, ours and the peers'."""
    points = {}
    for line in lines:
        plain = line["over"] is None and line["shape"].get("mask") == "causal" and line["shape"].get("dtype") == "float32"
        if line["what"] == "attention forward+backward" and plain:
            tokens = line["shape"]["tokens"]
            points.setdefault("aot", []).append((tokens, line["fraction"]))
            for peer, row in line["peers"].items():
                points.setdefault(peer, []).append((tokens, line["fraction"] / row["ratio"]))
    if not points:
        return None
    every = sorted({tokens for series in points.values() for tokens, _ in series})
    low, high = math.log2(every[0]), math.log2(every[-1])
    at_x = lambda tokens: 70 + 430 * ((math.log2(tokens) - low) / (high - low) if high > low else 0.5)
    at_y = lambda share: 270 - 230 * share
    colours = {"aot": "#1f5fa8", "sdpa": "#c2571a", "eager": "#777777"}
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 330" font-family="sans-serif" font-size="13">', '<rect width="620" height="330" fill="white"/>',
           '<text x="70" y="22" font-size="15">Causal attention, forward and backward: share of the processor\'s peak</text>']
    for tenth in range(0, 11, 2):
        y = at_y(tenth / 10)
        out.append(f'<line x1="70" x2="500" y1="{y:.0f}" y2="{y:.0f}" stroke="#dddddd"/><text x="62" y="{y + 4:.0f}" text-anchor="end">{10 * tenth} %</text>')
    for tokens in every:
        out.append(f'<text x="{at_x(tokens):.0f}" y="290" text-anchor="middle">{tokens}</text>')
    out.append('<text x="285" y="315" text-anchor="middle">tokens in a sequence; useful multiply-adds only</text>')
    for name, series in points.items():
        series.sort()
        path = " ".join(f"{at_x(t):.0f},{at_y(s):.0f}" for t, s in series)
        colour = colours.get(name, "#333333")
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{at_x(t):.0f}" cy="{at_y(s):.0f}" r="4" fill="{colour}"/>' for t, s in series]
        out.append(f'<text x="{at_x(series[-1][0]) + 10:.0f}" y="{at_y(series[-1][1]) + 4:.0f}" fill="{colour}">{name}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def default_python():
    own = HERE.parent / ".venv/bin/python"
    return os.environ.get("AOT_PYTHON") or (str(own) if own.exists() else sys.executable)


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--quick", action="store_true", help="few rows, two rounds, no compiled peer")
    cli.add_argument("--rows", default="", help="only rows whose name or kind contains this")
    cli.add_argument("--rounds", type=int, help="[5; --quick: 2]")
    cli.add_argument("--seconds", type=float, help="measured for each row in each process [2; --quick: 1]")
    cli.add_argument("--threads", type=int, default=os.cpu_count())
    cli.add_argument("--peer", default=str(HERE / "peer.py"), help="the peers' program [bench/peer.py]")
    cli.add_argument("--python", default=default_python(), help="a Python with torch [AOT_PYTHON, else that of .venv, else this one]")
    cli.add_argument("--aot", default=str(HERE.parent / "build/release/aot"))
    cli.add_argument("--out", metavar="FOLDER", help="write table.json, table.md and attention.svg here")
    o = cli.parse_args()
    o.rounds, o.seconds = o.rounds or (2 if o.quick else 5), o.seconds or (1 if o.quick else 2)

    chosen = [row for row in ROWS if (row["quick"] or not o.quick) and (o.rows in row["name"] or o.rows == row["what"])]
    if not chosen:
        sys.exit(f"against_pytorch: no row has '{o.rows}' in its name; rows: " + "; ".join(row["name"] for row in ROWS))
    start, lines = time.monotonic(), []
    with tempfile.TemporaryDirectory() as o.log:
        for index, row in enumerate(chosen):
            lines += measure(row, o)
            left = (time.monotonic() - start) / (index + 1) * (len(chosen) - index - 1)
            print(f"{index + 1} of {len(chosen)} rows, about {left / 60:.0f} min left", file=sys.stderr)
    table = markdown(lines)
    print(table, end="")
    if o.out:
        out = pathlib.Path(o.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / "table.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (out / "table.md").write_text(table)
        if drawn := picture(lines):
            (out / "attention.svg").write_text(drawn)


if __name__ == "__main__":
    main()
