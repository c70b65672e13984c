# SPDX-License-Identifier: Apache-2.0
"""Writes resized.json: what Pillow's bicubic gives for small images.   python make.py > resized.json   (Pillow 13.0.0)"""
import json
import sys

from PIL import Image

# (height, width, channels, box (left, top, right, bottom) or null, new height, new width)
CASES = [
    (23, 37, 3, None, 9, 11),
    (8, 8, 1, None, 13, 20),
    (50, 40, 3, None, 7, 30),
    (16, 16, 3, (3, 2, 13, 9), 5, 6),
    (31, 17, 1, (0, 5, 17, 31), 26, 17),
    (1, 1, 3, None, 4, 4),
    (64, 3, 1, None, 1, 1),
]


def pixel(y, x, c):
    """A pattern with smooth and rough parts."""
    return (x * x * 3 + y * 7 * x + 40 * c + (y // 3) * 31 + (x * 97 + y * 57) % 5 * 20) % 256


def main():
    rows = []
    for height, width, channels, box, new_height, new_width in CASES:
        data = bytes(pixel(y, x, c) for y in range(height) for x in range(width) for c in range(channels))
        image = Image.frombytes("RGB" if channels == 3 else "L", (width, height), data)
        if box:
            image = image.crop(box)
        out = image.resize((new_width, new_height), Image.Resampling.BICUBIC)
        rows.append({"height": height, "width": width, "channels": channels, "box": box, "new_height": new_height, "new_width": new_width,
                     "pixels": list(out.tobytes())})
    json.dump(rows, sys.stdout, separators=(",", ":"))
    print()


main()
