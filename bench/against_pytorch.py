#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times `aot bench` and the PyTorch peers in turns, one per process, and writes one table and one picture.

  python bench/against_pytorch.py                       every row of the table: hours; --rounds 2 --seconds 1 is about an hour
  python bench/against_pytorch.py --quick               attention at 256 and 1024 tokens, steps (a) and (c), decoding (a): three minutes
  python bench/against_pytorch.py --rows step --out bench-out

A round is ours, the other, ours again, begun when each thread has a processor to itself; it counts when the two of ours lie within 5 % of each
other. The ratio is the median over rounds of the other's time over the mean of the two. The spread of ours over all rounds stands beside it.
Above 1 is faster than the peer. A peer gets the better of two wait policies of OpenMP and of two settings of the allocator (not with --quick).
`--peer FILE` takes another program with the command line of bench/peer.py, `--python` another Python for it. Needs only the standard
library here; the peer needs torch. Rows over our own compare two uses of our program in the same way. A row that fails is named at the end.
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

from rows import COMPARED, PEERS, ROWS, TUNED

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    """A program that ended badly or printed no row; the other rows go on."""


def spin(seconds=0.03):
    """CPU time over wall time of doing nothing, in a child: below 1 where somebody else uses the processor."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        wall, cpu = time.monotonic(), time.process_time()
        while time.monotonic() - wall < seconds:
            pass
        os.write(writer, repr((time.process_time() - cpu) / (time.monotonic() - wall)).encode())
        os._exit(0)
    os.close(writer)
    return reader


def quiet(threads):
    """Whether so many threads would have a processor each; waits up to a minute for it."""
    for attempt in range(60):
        shares = []
        for reader in [spin() for _ in range(threads)]:
            with os.fdopen(reader) as pipe:
                shares.append(float(pipe.read()))
            os.wait()
        if min(shares) >= 0.96:
            return True
        time.sleep(1 if attempt else 0)
    return False


def json_rows(command, o, environment):
    environment = {**os.environ, "OMP_NUM_THREADS": str(o.threads), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not rows:
        raise Failed(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return {row["what"]: row for row in rows}


def flags(values):
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]


def commands_of(row, o):
    """Our command, and those it is compared with by name."""
    seconds = [f"--seconds={o.seconds}"]
    folder = {"log": o.log} if row["ours"].get("log") else {}

    def own_command(values):
        return [o.aot, "bench", row["what"], *flags({"threads": o.threads, **values}), *seconds, "--json"]

    ours = own_command({**row["ours"], **folder})
    if "other" in row:
        return ours, {"own": own_command(row["other"])}
    if not row["peers"]:
        return ours, {}
    theirs = [o.python, o.peer, row["what"], *flags(row["theirs"]), *seconds, *(["--bidirectional"] if row["bidirectional"] else []), *row.get("switches", [])]
    peers = [peer for peer in row["peers"] if not (o.quick and peer == "compile")]
    return ours, {peer: [*theirs, "--peers", peer] for peer in peers}


def fastest(command, fixed, o):
    """The environment in which a peer is quickest, found by trying each."""
    found = []
    for policy in ({}, {"OMP_WAIT_POLICY": "active"}):
        for allocator in ({},) if fixed is not None else ({}, TUNED):
            environment = {**(fixed or {}), **policy, **allocator}
            found.append((sum(row["ms"] for row in json_rows(command, o, environment).values()), environment))
    return min(found, key=lambda one: one[0])[1]


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def memory(rows):
    """Above the loaded library; None where a row's process held more than its own way of doing things."""
    return statistics.median(row["rss_mb"] - row["base_rss_mb"] for row in rows) if "base_rss_mb" in rows[0] else None


def rounds_of(ours_command, command, environment, own_environment, o):
    """[(ours before, the other's rows, ours after)]: rounds on a quiet machine whose two of ours agree within 5 %, as many as asked for. At most twice
    as many are tried; then the ones that agree best come too."""
    kept, others = [], []
    while len(kept) < o.rounds and len(kept) + len(others) < 2 * o.rounds:
        alone = quiet(o.threads)
        before, other, after = (json_rows(ours_command, o, own_environment), json_rows(command, o, environment), json_rows(ours_command, o, own_environment))
        apart = max(abs(after[what]["ms"] / before[what]["ms"] - 1) for what in before)
        (kept if alone and apart <= 0.05 else others).append((apart, before, other, after))
    rejected = len(others)
    others.sort(key=lambda one: one[0])
    return [one[1:] for one in kept + others[: max(0, o.rounds - len(kept))]], len(kept), rejected


def measure(row, o):
    """One line of the table for each thing that the row times."""
    ours_command, others = commands_of(row, o)
    environment = row.get("environment")  # fixed for ours and the peer; None: the peer may choose
    own_environment = environment or {}
    compared = json_rows([*ours_command, "--compare"], o, {}) if row.get("compare") and not o.quick else None
    ours, found, kept, rejected = [], {}, 0, 0
    for name, command in others.items():
        if name == "own" or o.quick:
            best = own_environment
        else:  # tried once for a kind of row; compiling takes long, it gets what the peer before was best with
            key = (row["what"], "sdpa" if name == "compile" else name, str(environment))
            if key not in o.best:
                o.best[key] = fastest(command, environment, o)
            best = o.best[key]
        turns, good, bad = rounds_of(ours_command, command, best, own_environment, o)
        frugal = json_rows(command, o, own_environment) if best != own_environment else turns[0][1]  # an allocator that keeps blocks holds more
        found[name] = (turns, best, frugal)
        ours += [rows for before, _, after in turns for rows in (before, after)]
        kept, rejected = kept + good, rejected + bad
    if not others:
        for _ in range(o.rounds):
            quiet(o.threads)
            ours.append(json_rows(ours_command, o, {}))
    for what in ours[0]:
        own = [rows[what] for rows in ours]
        times = sorted(r["ms"] for r in own)
        line = {"name": row["name"], "what": what, "shape": row["ours"], "ms": median(own, "ms"), "memory_mb": memory(own)}
        line |= {"spread": (times[-1] - times[0]) / statistics.median(times), "kept": kept, "rejected": rejected, "commit": o.commit}
        for key in ("fraction", "ceiling_gflops", "path", "cpu", "torch", "threads", "error", "fallbacks"):
            if key in own[0]:
                line[key] = median(own, key) if isinstance(own[0][key], float) else own[0][key]
        line |= {"over": row.get("over"), "peers": {}}
        for name, (turns, best, frugal) in found.items():
            if what not in turns[0][1]:
                continue
            ratios = [other[what]["ms"] / statistics.mean((before[what]["ms"], after[what]["ms"])) for before, other, after in turns]
            rows = [other[what] for _, other, _ in turns]
            line["peers"][name] = {"ms": median(rows, "ms"), "ratio": statistics.median(ratios), "memory_mb": memory([frugal[what]]), "environment": best}
        if not others:
            line["peers"]["own"] = {"ratio": median(own, "ratio"), "memory_mb": None}
        yield line
        for key, over in COMPARED.items():
            if compared and key in compared[what]["compared"]:
                yield {**line, "over": over, "peers": {"own": {"ratio": compared[what]["compared"][key], "memory_mb": None}}}


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


def write(out, lines):
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (out / "table.md").write_text(markdown(lines))
    if drawn := picture(lines):
        (out / "attention.svg").write_text(drawn)


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
    o.commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip() or None
    start, lines, failures, o.best = time.monotonic(), [], [], {}
    with tempfile.TemporaryDirectory() as o.log:
        for index, row in enumerate(chosen):
            try:
                lines += measure(row, o)
            except Failed as error:
                failures.append(row["name"])
                print(f"against_pytorch: {row['name']}: {error}", file=sys.stderr)
            if o.out:
                write(pathlib.Path(o.out), lines)
            left = (time.monotonic() - start) / (index + 1) * (len(chosen) - index - 1)
            print(f"{index + 1} of {len(chosen)} rows ({row['name']}), about {left / 60:.0f} min left", file=sys.stderr)
    print(markdown(lines), end="")
    if failures:
        sys.exit(f"against_pytorch: without figures: {'; '.join(failures)}")


if __name__ == "__main__":
    main()
