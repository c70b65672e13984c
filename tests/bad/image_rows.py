# SPDX-License-Identifier: Apache-2.0
"""The rows of the bad-input suite for images."""

import gzip
import struct

from rows import Row


def all_rows(base):
    return [*idx_files()]


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
