# SPDX-License-Identifier: Apache-2.0
"""Writes the demo's text: the sources of this Python's standard library in order of path, up to 8 MB: python demo_text.py OUT"""
import pathlib
import sys
import sysconfig

LIMIT = 8_000_000
# Tests and tables are not what one would call Python text; the packages belong to the machine's owner.
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "lib2to3", "pydoc_data", "__pycache__"}


def is_utf8(text):
    try:
        return bool(text.decode())
    except UnicodeDecodeError:
        return False


def main(out):
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    pieces, total = [], 0
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT & set(path.relative_to(root).parts):
            continue
        piece = path.read_bytes()
        if total + len(piece) <= LIMIT and is_utf8(piece):
            pieces.append(piece)
            total += len(piece)
    if total < 1_000_000:
        sys.exit(f"dev: error: {root} holds only {total} bytes of Python sources; the demo needs a Python with its standard library")
    pathlib.Path(out).write_bytes(b"".join(pieces))
    print(f"{total / 1e6:.1f} MB from {len(pieces)} files of {root}")


main(sys.argv[1])
