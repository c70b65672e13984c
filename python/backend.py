# SPDX-License-Identifier: Apache-2.0
"""What pip calls to build the package `aot` (PEP 517): CMake builds it against the torch of the Python that pip runs in, and the result is
packed as a wheel. A wheel goes with that Python and that torch."""
import base64
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
TAG = f"{PYTHON}-{PYTHON}-{re.sub('[-.]', '_', sysconfig.get_platform())}"
VERSION = re.search(r"project\(aot VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
INFO = f"aot-{VERSION}.dist-info"
METADATA = f"""Metadata-Version: 2.1
Name: aot
Version: {VERSION}
Summary: Attention-only transformers: operators and modules for PyTorch, models, data and measures
License: Apache-2.0
Requires-Python: >=3.10
Provides-Extra: arrays
Requires-Dist: numpy; extra == 'arrays'
"""
WHEEL = f"Wheel-Version: 1.0\nGenerator: aot\nRoot-Is-Purelib: false\nTag: {TAG}\n"


def torch_folder():
    """Of this interpreter; pip's isolation hides it from this process, but not from another one without pip's variables."""
    script = [sys.executable, ROOT / "scripts/torch_folder.py"]
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONNOUSERSITE")}
    for environment in (os.environ, outside):
        done = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0:
            return done.stdout.strip()
    sys.exit(f"aot: error: {sys.executable} has no torch 2.11 or newer with headers; install it there first, or add --no-build-isolation")


def build_folder(torch):
    """What ./dev has built for the same torch and Python is gone on with; otherwise build/python."""
    release = ROOT / "build/release"
    cache = release / "CMakeCache.txt"
    settings = cache.read_text() if cache.exists() else ""

    def holds(name, value):
        found = re.search(rf"^{name}:\w+=(.*)$", settings, re.MULTILINE)
        return found is not None and os.path.realpath(found.group(1)) == os.path.realpath(value)

    same = holds("AOT_TORCH", torch) and (release / "build.ninja").exists() and holds("AOT_PYTHON", sys.executable)
    return release if same else ROOT / "build/python"


def built_package():
    """The folder of the package, built."""
    torch = torch_folder()
    if missing := [tool for tool in ("cmake", "ninja", "c++") if shutil.which(tool) is None]:
        sys.exit(f"aot: error: {', '.join(missing)} not found; ./dev build names and installs what building needs")
    if not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists():
        sys.exit(f"aot: error: {sys.executable} has no headers (Python.h); on Debian they are in python3-dev")
    build = build_folder(torch)
    if build.name == "python":
        settings = [f"-DAOT_TORCH={torch}", f"-DAOT_PYTHON={sys.executable}", "-DCMAKE_BUILD_TYPE=Release", "-DAOT_TESTS=OFF"]
        subprocess.run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", build, *settings], check=True)
    subprocess.run(["cmake", "--build", build, "--target", "aot_package", "--parallel", str(os.cpu_count())], check=True)
    return build / "python/aot"


def write_info(folder):
    info = pathlib.Path(folder) / INFO
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(METADATA)
    (info / "WHEEL").write_text(WHEEL)
    return INFO


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return write_info(metadata_directory)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    package = built_package()
    files = {f"aot/{path.relative_to(package).as_posix()}": path.read_bytes() for path in sorted(package.rglob("*")) if path.is_file()}
    files[f"{INFO}/METADATA"] = METADATA.encode()
    files[f"{INFO}/WHEEL"] = WHEEL.encode()
    files[f"{INFO}/licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(content)}\n"
    files[f"{INFO}/RECORD"] = f"{record}{INFO}/RECORD,,\n".encode()
    name = f"aot-{VERSION}-{TAG}.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            wheel.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return name


def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError("aot is built from its repository: pip install .")
