# SPDX-License-Identifier: Apache-2.0
"""Tells how much pip is about to download for a requirement, under the user's own index settings: python download_size.py torch==2.13.0"""
import json
import os
import subprocess
import sys
import urllib.request

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def size_of(url):
    request = urllib.request.Request(url.split("#")[0], method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.headers["Content-Length"])


def main(requirement):
    print("asking pip what it would download ...", flush=True)
    asked = subprocess.run(PIP + ["install", "--dry-run", "--quiet", "--report", "-", requirement], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return  # the installation that follows says why
    items = json.loads(asked.stdout)["install"]
    certificates = subprocess.run(PIP + ["config", "get", "global.cert"], capture_output=True, text=True, check=False).stdout.strip()
    os.environ.setdefault("SSL_CERT_FILE", os.environ.get("PIP_CERT") or certificates or os.environ.get("SSL_CERT_FILE", ""))
    if not os.environ["SSL_CERT_FILE"]:
        del os.environ["SSL_CERT_FILE"]
    try:
        total = sum(size_of(item["download_info"]["url"]) for item in items)
        print(f"{len(items)} packages, {total / 1e6:.0f} MB to download")
    except (OSError, TypeError, KeyError, ValueError):
        print(f"{len(items)} packages; their size is not told here: the CPU build is about 190 MB, a CUDA build gigabytes")
    if any(item["metadata"]["name"].startswith("nvidia-") for item in items):
        print("this index serves the CUDA build; README.md names the index of the small CPU build")


main(sys.argv[1])
