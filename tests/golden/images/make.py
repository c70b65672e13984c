# SPDX-License-Identifier: Apache-2.0
"""Writes images.json: small image files of every kind with the pixels that Pillow reads.   python make.py > images.json   (Pillow 13.0.0)

Kinds that Pillow cannot write (interlaced, 16 bits a colour) are written here, their pixels known from the start.
"""
import base64
import io
import json
import struct
import sys
import zlib

from PIL import Image

WIDTH, HEIGHT = 13, 9
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]  # row, column, row step, column step


def colour(y, x):
    return (20 * x % 256, 28 * y % 256, (x * y * 5 + 60) % 256)


def deep(y, x):
    return tuple((4099 * (x + 3 * y) + 1009 * c + 77) % 65536 for c in range(3))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth, kind, interlace, pixel_bytes):
    """A PNG file, unfiltered; pixel_bytes(y, x) gives the bytes of a pixel."""
    raw = b""
    for row, column, row_step, column_step in ADAM7 if interlace else [(0, 0, 1, 1)]:
        for y in range(row, HEIGHT, row_step):
            line = b"".join(pixel_bytes(y, x) for x in range(column, WIDTH, column_step))
            raw += b"\0" + line if line else b""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, kind, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def files():
    rgb = Image.new("RGB", (WIDTH, HEIGHT))
    rgb.putdata([colour(y, x) for y in range(HEIGHT) for x in range(WIDTH)])
    grey = rgb.convert("L")
    rgba = rgb.copy()
    rgba.putalpha(grey)
    palette = rgb.quantize(16)
    yield "grey.jpg", saved(grey, "JPEG"), None
    yield "444.jpg", saved(rgb, "JPEG", subsampling=0, quality=95), None
    yield "420.jpg", saved(rgb, "JPEG", subsampling=2), None
    yield "progressive.jpg", saved(rgb, "JPEG", progressive=True), None
    yield "cmyk.jpg", saved(rgb.convert("CMYK"), "JPEG"), None
    yield "comment.jpg", saved(rgb, "JPEG", comment=b"x" * 20000, exif=Image.Exif()), None
    for depth in (1, 2, 4):
        levels = Image.new("P", (WIDTH, HEIGHT))
        levels.putdata([(x + y) % (1 << depth) for y in range(HEIGHT) for x in range(WIDTH)])
        levels.putpalette([value for i in range(1 << depth) for value in (i * 15, 255 - i * 9, i * i)])
        yield f"palette{depth}.png", saved(levels, "PNG", bits=depth), None
    yield "bits.png", saved(grey.convert("1"), "PNG"), None
    yield "grey.png", saved(grey, "PNG"), None
    yield "grey-alpha.png", saved(rgba.convert("LA"), "PNG"), None
    yield "colour.png", saved(rgb, "PNG"), None
    yield "alpha.png", saved(rgba, "PNG"), None
    yield "transparent-palette.png", saved(palette, "PNG", transparency=3), None
    yield "animated.png", saved(rgb, "PNG", save_all=True, append_images=[rgb.rotate(180)]), None
    yield "interlaced.png", png(8, 2, 1, lambda y, x: bytes(colour(y, x))), [v for y in range(HEIGHT) for x in range(WIDTH) for v in colour(y, x)]
    sixteen = [(value + 128) // 257 for y in range(HEIGHT) for x in range(WIDTH) for value in deep(y, x)]
    yield "16.png", png(16, 2, 0, lambda y, x: struct.pack(">3H", *deep(y, x))), sixteen
    yield "16-interlaced-alpha.png", png(16, 6, 1, lambda y, x: struct.pack(">4H", *deep(y, x), 500)), sixteen
    first = [(deep(y, x)[0] + 128) // 257 for y in range(HEIGHT) for x in range(WIDTH)]
    yield "grey16.png", png(16, 0, 0, lambda y, x: struct.pack(">H", deep(y, x)[0])), [v for v in first for _ in range(3)]


def main():
    rows = {}
    for name, content, pixels in files():
        if pixels is None:
            pixels = list(Image.open(io.BytesIO(content)).convert("RGB").tobytes())
        rows[name] = {"file": base64.b64encode(content).decode(), "pixels": pixels}
    json.dump({"height": HEIGHT, "width": WIDTH, "files": rows}, sys.stdout, separators=(",", ":"))
    print()


main()
