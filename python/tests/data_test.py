# SPDX-License-Identifier: Apache-2.0
"""Tokenizers, texts, images and prompts."""
import pathlib
import unittest

from support import TEXT, TrainedTest

import aot

try:
    import numpy
except ImportError:
    numpy = None

BPE = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/small_bpe"


class Tokenizers(TrainedTest):
    def test_bytes(self):
        tokenizer = aot.open_tokenizer("byte")
        self.assertEqual((tokenizer.kind, tokenizer.vocab_size, tokenizer.end_of_text), ("byte", 256, None))
        self.assertEqual(tokenizer.encode("né"), list("né".encode()))
        self.assertEqual(tokenizer.encode(b"\xff"), [255])
        self.assertEqual(tokenizer.decode([110, 0xC3]), "n\ufffd")
        self.assertEqual(tokenizer.decode_bytes([110, 0xC3]), b"n\xc3")
        with self.assertRaisesRegex(IndexError, "256 is outside the vocabulary"):
            tokenizer.decode([256])
        with self.assertRaises(ValueError):
            aot.open_tokenizer("tiktoken:nothing")

    def test_a_trained_one_gives_the_ids_of_the_command_however_long_the_text(self):
        self.run_aot("tokenizer", "train", self.folder / "text.txt", "--vocab", 300, "--out", self.folder / "bpe")
        tokenizer = aot.open_tokenizer(self.folder / "bpe")
        self.assertEqual(tokenizer.kind, "bpe")
        line = TEXT.strip() + "\n"
        ids = tokenizer.encode(line)
        self.assertEqual(tokenizer.decode(ids), line)
        self.assertLess(len(ids), len(line) / 2)
        self.assertEqual(tokenizer.encode(line * 400), ids * 400)  # more than is encoded at once


@unittest.skipIf(numpy is None, "arrays need NumPy")
class Arrays(TrainedTest):
    def test_texts(self):
        data = aot.data.open_text(self.folder / "data")
        self.assertEqual((data.vocab_size, data.tokenizer.kind), (256, "byte"))
        whole = data.train[:]
        self.assertIsInstance(whole, numpy.ndarray)
        self.assertEqual(bytes(whole.tolist()) + bytes(data.val[:].tolist()), TEXT.encode())
        self.assertEqual((len(data.train), data.train[0], data.train[-1]), (len(whole), whole[0], whole[-1]))
        for part in (slice(3, 9), slice(-5, None), slice(None, 50, 7), slice(9, 3, -2), slice(None, None, -1), slice(5, 5)):
            self.assertTrue(numpy.array_equal(data.train[part], whole[part]), part)
        windows = data.train.windows(4, 17, seed=1, step=3)
        self.assertEqual(windows.shape, (4, 17))
        self.assertTrue(all(bytes(row.tolist()) in TEXT.encode() for row in windows))
        self.assertTrue(numpy.array_equal(windows, data.train.windows(4, 17, seed=1, step=3)))
        with self.assertRaises(IndexError):
            data.train[len(whole)]
        with self.assertRaises(FileNotFoundError):
            aot.data.open_text(self.folder / "nowhere", vocab_size=256)

    def test_images(self):
        self.run_aot("data", "make", "shapes", "--count", 20, "--seed", 1, "--out", self.folder / "shapes")
        data = aot.data.open_images(self.folder / "shapes")
        image, mask = data.train[0], data.train.mask(-1)
        self.assertEqual((image.dtype, image.shape[2], mask.shape), (numpy.uint8, 3, image.shape[:2]))
        self.assertEqual(len(data.train.labels), len(data.train))
        self.assertTrue(set(mask.flatten().tolist()) <= {0, 1})
        self.assertLess(data.train.labels.max(), len(data.classes))
        with self.assertRaises(IndexError):
            data.train[len(data.train)]

    def test_prompts(self):
        x, y = aot.data.draw_prompts(5, points=6, dims=3, seed=1, first=2)
        self.assertEqual((x.shape, y.shape, x.dtype), ((5, 6, 3), (5, 6), numpy.float32))
        more, _ = aot.data.draw_prompts(1, points=6, dims=3, seed=1, first=3)
        self.assertTrue(numpy.array_equal(more[0], x[1]))
        weights, rest, _, _ = numpy.linalg.lstsq(x[0], y[0], rcond=None)
        self.assertLess(float(abs(x[0] @ weights - y[0]).max()), 1e-4)
        with self.assertRaisesRegex(ValueError, "did you mean 'noise'"):
            aot.data.draw_prompts(1, points=6, dims=3, seed=1, nois=1)


if __name__ == "__main__":
    unittest.main()
