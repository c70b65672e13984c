#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile files through the `aot` command: every row must end with its exit code, one line on stderr of at most 300 bytes that holds the
required words, no signal, in time, in bounded memory, and with nothing written. Rows with exit code 0 must be accepted, so that a loader
that refuses everything fails.

Run by ctest with AOT_COMMAND set to the program; by hand: AOT_COMMAND=build/release/aot python3 tests/bad/run.py [PART OF A ROW'S NAME]
A new class of input is one more function among the row makers in rows.py, data_rows.py, model_rows.py or interop_rows.py.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import data_rows
import image_rows
import interop_rows
import model_rows
import rows

AOT = os.environ.get("AOT_COMMAND", "build/release/aot")
SECONDS = 20  # against hanging; the parsers' own time is measured in tests/io
MOST_MEMORY_KB = 1024 * 1024
EXTRA_MEMORY_KB = 64 * 1024  # above a run that refuses a missing file, and above the size of the input


def tree(folder):
    """Everything below a folder but lock files, with digests."""
    out = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.name == ".lock":
            continue
        small = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 24
        out[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if small else "-"
    return out


def run(arguments):
    """Exit code, stderr, peak resident KiB, seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AOT_")}
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([AOT, *arguments], stdout=subprocess.DEVNULL, stderr=errors, env=environment)
        timer = concurrent.futures.Future()
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - start > SECONDS and not timer.done():
                process.kill()
                timer.set_result(None)
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        return process.returncode, errors.read(), usage.ru_maxrss, time.monotonic() - start


def problems_of(row, folder, base_kb):
    arguments = row.make(folder)
    before = tree(folder)
    size_kb = max((path.stat().st_blocks // 2 for path in folder.rglob("*") if path.is_file()), default=0)
    code, errors, peak_kb, seconds = run(arguments)
    text = errors.decode("utf-8", "surrogateescape")
    problems = []
    if code != row.code:
        problems.append(f"exit {code}, need {row.code}")
    if seconds > SECONDS:
        problems.append(f"took more than {SECONDS} s")
    if peak_kb > MOST_MEMORY_KB:
        problems.append(f"{peak_kb} KiB of memory")
    if row.code != 0:
        last = text.splitlines()[-1] if text else ""
        if not last.startswith("aot: error: ") or sum(line.startswith("aot: error: ") for line in text.splitlines()) != 1:
            problems.append("need one line of error, the last")
        if len(last.encode("utf-8", "surrogateescape")) > 300:
            problems.append("the line is longer than 300 bytes")
        if any(ord(c) < 0x20 and c != "\n" for c in text) or "\udc80" <= max(text, default="") <= "\udcff":
            problems.append("control characters or bytes that are no UTF-8 on stderr")
        if peak_kb > base_kb + size_kb + EXTRA_MEMORY_KB:
            problems.append(f"{peak_kb} KiB of memory, {base_kb} without the file")
        if tree(folder) != before:
            problems.append("files were changed")
    problems += [f"missing words: {words}" for words in row.words if words not in text]
    return [f"{row.name}: {problem}\n    {text.strip()[-400:]}" for problem in problems]


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    root = pathlib.Path(tempfile.mkdtemp(prefix="aot-bad-"))
    try:
        base = rows.Base(root / "base", run)
        todo = [row for row in [*rows.all_rows(base), *data_rows.all_rows(base), *image_rows.all_rows(base), *model_rows.all_rows(base), *interop_rows.all_rows(base)] if wanted in row.name]
        base_kb = run(["train", "--data", str(root / "absent"), "--out", str(root / "none")])[2]

        def one(numbered):
            number, row = numbered
            folder = root / str(number)
            folder.mkdir()
            try:
                return problems_of(row, folder, base_kb)
            finally:
                shutil.rmtree(folder)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            problems = [line for lines in pool.map(one, enumerate(todo)) for line in lines]
    finally:
        shutil.rmtree(root)
    print("\n".join(problems + [f"{len(todo)} rows, {len(problems)} problems"]))
    return 1 if problems or not todo else 0


if __name__ == "__main__":
    sys.exit(main())
