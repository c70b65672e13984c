# SPDX-License-Identifier: Apache-2.0
"""Compiles every header on its own, with the flags of a source file beside it, two at a time: python3 scripts/check_headers.py BUILD"""
import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WITH_VALUE = {"-o", "-MT", "-MF", "-c"}
LEFT_OUT = {"-MD", "-O3", "-O2", "-D_FORTIFY_SOURCE=2"}


def flags_of(command):
    """The compiler and its flags, without launcher, input, output and optimisation."""
    words = shlex.split(command)
    if pathlib.Path(words[0]).name == "ccache":
        words = words[1:]
    flags, skip = [], False
    for word in words:
        if skip or word in WITH_VALUE:
            skip = word in WITH_VALUE
        elif word not in LEFT_OUT:
            flags.append(word)
    return flags


def main():
    build = (ROOT / sys.argv[1]).resolve()
    commands = {}  # folder -> flags
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if ROOT in path.parents and build not in path.parents:
            commands.setdefault(path.parent, (flags_of(entry["command"]), entry["directory"]))
    apps = commands[ROOT / "apps"]

    def check(header):
        flags, folder = commands.get(header.parent, apps)
        program = f'#include "{header}"\n'
        done = subprocess.run(flags + ["-O0", "-fsyntax-only", "-x", "c++", "-"], input=program, cwd=folder, capture_output=True, text=True, check=False)
        return header, done

    folders = ("src", "apps", "tests") + (("python",) if ROOT / "python/bindings" in commands else ())  # not where no module is built
    headers = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.h"))
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for header, done in pool.map(check, headers):
            if done.returncode != 0:
                failures += 1
                print(f"{header.relative_to(ROOT)} does not compile alone:\n{done.stderr.strip()[:1500]}")
    print(f"   {len(headers)} headers, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
