# SPDX-License-Identifier: Apache-2.0
"""Compares every room's #include lines with what src/aot/CMakeLists.txt says that it uses, and checks what holds for each source file.

  python3 scripts/check_includes.py [ROOT]
"""
import pathlib
import re
import sys

LINES = 600
LIBTORCH = re.compile(r"(ATen|c10|torch|caffe2)/")
WITHOUT_LIBTORCH = ("io", "data", "kernels")
FORBIDDEN = re.compile(r"torch/(torch|script|all)\.h|torch/nn/|torch/nn\.h")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
ROOM = re.compile(r"^aot_room\((\w+)([^)]*)\)", re.MULTILINE)
TEXT_KINDS = {".cpp", ".h", ".def", ".py", ".sh", ".cmake", ".toml"}
FOLDERS = ("src", "apps", "tests", "bench", "examples", "scripts", "cmake", "configs", "fuzz", "python")
NO_SPDX = ("tests/golden/", "tests/bad/")


def rooms_of(root):
    """{room: rooms it may include}, from the build's own list."""
    found = {}
    for name, rest in ROOM.findall((root / "src/aot/CMakeLists.txt").read_text()):
        words = rest.split()
        uses = []
        if "USES" in words:
            for word in words[words.index("USES") + 1 :]:
                if word.isupper():
                    break
                uses.append(word)
        found[name] = set(uses)
    return found


def includes_of(path):
    """(line, included path) of each #include."""
    lines = path.read_text(errors="replace").splitlines()
    return [(number, match.group(1)) for number, line in enumerate(lines, 1) if (match := INCLUDE.match(line))]


def libtorch_behind(root, header, seen):
    """A LibTorch header that our `header` reaches through our own headers, or None."""
    if header in seen or not (root / "src" / header).is_file():
        return None
    seen.add(header)
    for _, included in includes_of(root / "src" / header):
        if LIBTORCH.match(included):
            return included
        if behind := libtorch_behind(root, included, seen):
            return behind
    return None


def problems_of_room(root, room, allowed, known):
    for path in sorted((root / "src/aot" / room).rglob("*")):
        if path.suffix not in (".cpp", ".h"):
            continue
        name = path.relative_to(root)
        for number, included in includes_of(path):
            place = f"{name}:{number}: "
            parts = included.split("/")
            if included.startswith(("apps/", "tests/", "bench/", "examples/")):
                yield f"{place}the library may not include {included}"
            if parts[0] == "aot" and parts[1] in known and parts[1] != room and parts[1] not in allowed:
                yield f"{place}room {room} may not include {included}: {parts[1]} is not in its USES"
            if parts[0] == "aot" and parts[1] not in known:
                yield f"{place}{included} belongs to no room"
            if room in WITHOUT_LIBTORCH:
                if LIBTORCH.match(included):
                    yield f"{place}room {room} stays without LibTorch but includes {included}"
                elif behind := libtorch_behind(root, included, set()):
                    yield f"{place}room {room} stays without LibTorch but {included} includes {behind}"


def problems_of_file(root, path):
    name = path.relative_to(root)
    lines = path.read_text(errors="replace").splitlines()
    if not str(name).startswith(NO_SPDX) and not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
        yield f"{name}:1: no line `SPDX-License-Identifier: Apache-2.0`"
    if path.suffix in (".cpp", ".h", ".py", ".sh"):
        if len(lines) > LINES:
            yield f"{name}: {len(lines)} lines; split it before {LINES}"
    if path.suffix in (".cpp", ".h"):
        for number, included in includes_of(path):
            if FORBIDDEN.match(included):
                yield f"{name}:{number}: {included} costs up to 24 s a file; include ATen/core/Tensor.h and single operators"
    if path.suffix == ".h" and not any(line.strip() == "#pragma once" for line in lines):
        yield f"{name}:1: no #pragma once"


def problems(root):
    rooms = rooms_of(root)
    for room, allowed in rooms.items():
        yield from problems_of_room(root, room, allowed, set(rooms))
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and (path.suffix in TEXT_KINDS or path.name == "CMakeLists.txt"):
                yield from problems_of_file(root, path)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    found = list(problems(root))
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
