# SPDX-License-Identifier: Apache-2.0
"""The rows of the bad-input suite for images."""

import base64
import gzip
import json
import os
import pathlib
import struct
import zlib

from rows import Row

GOLDEN = {name: base64.b64decode(row["file"])
          for name, row in json.loads((pathlib.Path(__file__).parent.parent / "golden/images/images.json").read_text())["files"].items()}


def all_rows(base):
    return [*idx_files(), *cifar_files(), *folders()]


def idx(shape, data=b"", kind=8):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + data


IMAGES, LABELS = idx([4, 2, 2], bytes(range(16))), idx([4], b"\0\1\0\1")


def idx_files():
    def row(name, words, images=IMAGES, labels=LABELS, code=3):
        def make(folder):
            (folder / "images").write_bytes(images)
            (folder / "labels").write_bytes(labels)
            return ["data", "prepare", "--images", str(folder / "images"), "--labels", str(folder / "labels"), "--val", "0.5", "--out", str(folder / "out")]

        return Row("idx: " + name, code, words, make)

    yield row("good", [], code=0)
    yield row("good, gzip", [], gzip.compress(IMAGES), gzip.compress(LABELS), code=0)
    yield row("constant images", [], idx([4, 2, 2], bytes(16)), code=0)
    yield row("empty", ["empty file"], b"")
    yield row("no IDX", ["bad magic", "looks like PNG"], b"\x89PNG\r\n\x1a\n" + bytes(40))
    yield row("little-endian", ["byte order?"], b"\3\x08\0\0" + struct.pack("<III", 4, 2, 2) + bytes(16))
    yield row("little-endian sizes", ["size overflows"], b"\0\0\x08\3" + struct.pack("<III", 4, 2, 2) + bytes(16))
    yield row("floats", ["elements of type 13"], idx([4, 2, 2], bytes(64), kind=13))
    yield row("sizes that wrap", ["size overflows"], idx([0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF]))
    yield row("no images", ["dimension 0 is 0"], idx([0, 2, 2]))
    yield row("one byte short", ["header needs 16 bytes", "file has 15"], IMAGES[:-1])
    yield row("one byte long", ["header needs 16 bytes", "file has 17"], IMAGES + b"x")
    yield row("header cut", ["header needs 16 bytes"], IMAGES[:15])
    yield row("gzip cut", ["gzip: cut"], gzip.compress(IMAGES)[:-9])
    yield row("gzip damaged", ["gzip: damaged"], gzip.compress(IMAGES)[:-5] + b"xxxxx")
    yield row("gzip bomb", ["bytes behind its 4 records"], gzip.compress(IMAGES + bytes(1 << 26)))
    yield row("gzip too small for its header", ["file has at most"], gzip.compress(idx([1 << 31, 100, 100])))
    yield row("images too large", ["larger than 16384"], idx([4, 20000, 1], bytes(80000)))
    yield row("labels for images", ["are these the labels?"], LABELS)
    yield row("images for labels", ["labels need 1 dimension"], labels=IMAGES)
    yield row("counts differ", ["4 images, 3 labels"], labels=idx([3], b"abc"))
    yield row("one image", ["at least one on each side"], idx([1, 2, 2], b"abcd"), idx([1], b"\0"))


def cifar_files():
    def row(name, words, content, form="cifar10", code=3):
        def make(folder):
            (folder / "data.bin").write_bytes(content)
            return ["data", "prepare", "--images", str(folder / "data.bin"), "--format", form, "--val", "0.5", "--out", str(folder / "out")]

        return Row("cifar: " + name, code, words, make)

    ten, hundred = (b"\1" + bytes(3072)) * 4, (b"\1\2" + bytes(3072)) * 4
    yield row("good", [], ten, code=0)
    yield row("good, 100 classes", [], hundred, "cifar100", code=0)
    yield row("label too large", ["record 3: label 10"], ten[:-3073] + b"\x0a" + bytes(3072))
    yield row("100 for 10", ["3074-byte records: CIFAR-100?"], hundred)
    yield row("one byte short", ["no whole number"], ten[:-1])
    yield row("pickle", ["use the binary version"], b"\x80\x02}q\1" + bytes(9000))
    yield row("archive", ["unpack the archive"], gzip.compress(ten))
    yield row("empty", ["empty file"], b"")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=b"", chunks=b"", kind=2, depth=8):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)) + chunks + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of_size(height, width, name="420.jpg"):
    content = GOLDEN[name]
    at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def folders():
    """Each bad file among good ones, refused and with --skip-bad named; the kinds that must be decoded."""
    good = GOLDEN["420.jpg"]
    bomb = zlib.compress(bytes(200 << 20), 9)

    def make(content, name, *arguments):
        def files(folder):
            (folder / "in/a").mkdir(parents=True)
            (folder / "in/a/first.jpg").write_bytes(good)
            (folder / "in/a/second.jpg").write_bytes(good)
            if callable(content):
                content(folder / "in/a" / name)
            else:
                (folder / "in/a" / name).write_bytes(content)
            return ["data", "prepare", "--images", str(folder / "in"), "--val", "0", "--out", str(folder / "out"), "--verbose", *arguments]

        return files

    for name, content in GOLDEN.items():
        yield Row(f"image: {name}", 0, [], make(content, name))
    yield Row("image: JPEG called .png", 0, [], make(good, "x.png"))
    yield Row("image: PNG called .jpg", 0, [], make(GOLDEN["colour.png"], "x.jpg"))
    yield Row("image: one pixel", 0, [], make(png(1, 1, zlib.compress(bytes(4))), "x.png"))
    yield Row("image: long and thin", 0, [], make(png(16384, 1, zlib.compress(bytes(1 + 3 * 16384))), "x.png", "--size", "64"))
    yield Row("image: 36 million pixels", 0, [], make(png(6000, 6000, zlib.compress(bytes((1 + 3 * 6000) * 6000), 9)), "x.png"))
    yield Row("image: text that unfolds", 0, [], make(png(1, 1, zlib.compress(bytes(4)), chunk(b"zTXt", b"k\0\0" + bomb)), "x.png"))

    def bad(name, words, content, file="x.png"):
        yield Row(f"image: {name}", 3, words, make(content, file))
        yield Row(f"image: {name}, skipped", 0, ["skipped 1 bad images", *words], make(content, file, "--skip-bad"))

    yield from bad("cut JPEG", ["x.jpg: JPEG: cut"], good[:-20], "x.jpg")
    yield from bad("cut PNG", ["PNG: cut"], GOLDEN["colour.png"][:-30])
    yield from bad("PNG of 30,000 x 30,000", ["30000 x 30000 pixels: larger than 16384"], png(30000, 30000, bomb))
    yield from bad("PNG of 16,384 x 16,384", ["larger than 64000000 in all"], png(16384, 16384, bomb))
    yield from bad("JPEG of 30,000 x 30,000", ["30000 x 30000 pixels: larger than 16384"], jpeg_of_size(30000, 30000), "x.jpg")
    yield from bad("JPEG of 8,000 x 8,000 without its data", ["JPEG: "], jpeg_of_size(8000, 8000), "x.jpg")
    yield from bad("progressive JPEG of 8,000 x 8,000 without its data", ["JPEG: "], jpeg_of_size(8000, 8000, "progressive.jpg"), "x.jpg")
    yield from bad("PNG with data for another size", ["PNG: "], png(10, 10, bomb))
    yield from bad("wrong checksum", ["CRC mismatch"], GOLDEN["colour.png"][:-16] + b"xxxx" + GOLDEN["colour.png"][-12:])
    yield from bad("GIF", ["neither JPEG nor PNG, looks like GIF"], b"GIF89a" + bytes(100), "x.gif")
    yield from bad("text", ["neither JPEG nor PNG"], b"hello", "readme.txt")
    yield from bad("empty", ["empty file"], b"")
    yield from bad("pipe", ["not a regular file"], os.mkfifo)
    yield from bad("sparse, 1 TB", ["larger than 64 MiB"], lambda path: (path.touch(), os.truncate(path, 1 << 40)))
    yield from bad("strange name", ["\\x1b[2J", "neither JPEG nor PNG"], b"x", "\x1b[2J\n.png")
    yield Row("image: only bad ones", 3, ["none of the 1 images for train is good"],
              lambda folder: ((folder / "in/a").mkdir(parents=True), (folder / "in/a/x").write_bytes(b"x"))
              and ["data", "prepare", "--images", str(folder / "in"), "--val", "0", "--skip-bad", "--out", str(folder / "out")])
    yield Row("image: a folder without classes", 3, ["has no folders"],
              lambda folder: ((folder / "in").mkdir(), (folder / "in/x.png").write_bytes(GOLDEN["grey.png"]))
              and ["data", "prepare", "--images", str(folder / "in"), "--out", str(folder / "out")])
