# SPDX-License-Identifier: Apache-2.0
"""Makes a small byte-level BPE and golden ids with Python's `tokenizers` (0.23 made the committed files).

    python3 tests/golden/small_bpe/make.py

Writes vocab.json, merges.txt and ids.json beside itself: [{"text": ..., "ids": [...]}]. The cases end with random strings of Unicode 14, so
Python must know just that version (3.11 does).
"""

import json
import pathlib
import sys
import unicodedata

import tokenizers

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent.parent / "data"))
from gpt2_parity import random_strings  # noqa: E402

RANDOM_STRINGS = 120

TEXT = """The tokens of a layer are noisy points near a few subspaces, and every layer moves each of them a little towards its own.
They're what we'll read, don't we? It's 1, 22, 333 and 4096 times as easy: "one layer, one step", she'd say; I'm sure you've seen it.
    for token in tokens:
        tokens[token] += step * (projected(token) - token)
Grüße aus Köln, où ça déjà vu, 你好世界, привет мир, 🙂🙂 – and so on...\r\n
""" * 3

CASES = [
    "", " ", "  ", "\n", " \n ", "a", "the tokens", "The  tokens   of\ta layer \n\n moves", "they're they'RE it's it'S don't we'll we've I'm she'd o'clock",
    "'s 's's ''s' 'll", "1 22 333 4096 3.14 ²½Ⅷ", "x+=y; !!! ... ?!", "tokens[token] += step", "<|endoftext|>", "a<|endoftext|>b",
    "Grüße aus Köln", "e\u0301 \u0301", "你好世界 你好", "привет мир", "🙂🙂👩‍👩‍👧", "\u00a0\u2003x\u180ey\u200bz\u0085w\u3000", "\r\n\r\n x", "\t\tif",
    "trailing  ", "a" * 40, " " * 40 + "a", "\x00\x01\x7f", "\ufeffstart", "_under_score__", "a\u2028b\u2029c\x1cd\x1de",
]


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=480, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False)
    trained.save_model(str(HERE))
    model = tokenizers.models.BPE.from_file(str(HERE / "vocab.json"), str(HERE / "merges.txt"))
    reference = tokenizers.Tokenizer(model)
    reference.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    rows = [{"text": text, "ids": reference.encode(text).ids} for text in CASES + [TEXT] + random_strings(RANDOM_STRINGS, seed=5)]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (HERE / "ids.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
