# SPDX-License-Identifier: Apache-2.0
"""Writes operations.json: what Pillow's image operations give.   python make.py > operations.json   (Pillow 13.0.0)"""
import json
import sys

from PIL import Image, ImageEnhance, ImageOps

HEIGHT, WIDTH = 10, 12
# In the order of aot::ImageOperation, from brightness on: name, amounts, function.
OPERATIONS = [
    ("brightness", (0.3, 1.7), lambda image, x: ImageEnhance.Brightness(image).enhance(x)),
    ("colour", (0.3, 1.7), lambda image, x: ImageEnhance.Color(image).enhance(x)),
    ("contrast", (0.3, 1.7), lambda image, x: ImageEnhance.Contrast(image).enhance(x)),
    ("sharpness", (0.3, 1.7), lambda image, x: ImageEnhance.Sharpness(image).enhance(x)),
    ("posterize", (4, 7), lambda image, x: ImageOps.posterize(image, x)),
    ("solarize", (0, 100.5), lambda image, x: ImageOps.solarize(image, x)),
    ("auto_contrast", (0,), lambda image, x: ImageOps.autocontrast(image)),
    ("equalize", (0,), lambda image, x: ImageOps.equalize(image)),
]


def main():
    pixels = bytes(20 + (x * x * 2 + y * 9 + 50 * c + x * y) % 190 for y in range(HEIGHT) for x in range(WIDTH) for c in range(3))
    image = Image.frombytes("RGB", (WIDTH, HEIGHT), pixels)
    rows = [{"operation": name, "amount": x, "pixels": list(function(image, x).tobytes())} for name, amounts, function in OPERATIONS for x in amounts]
    json.dump({"height": HEIGHT, "width": WIDTH, "pixels": list(pixels), "rows": rows}, sys.stdout, separators=(",", ":"))
    print()


main()
