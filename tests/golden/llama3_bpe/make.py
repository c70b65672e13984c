# SPDX-License-Identifier: Apache-2.0
"""Makes a small tokenizer in Llama 3's form, a rank file, and golden ids with Python's `tokenizers` and `tiktoken` (0.23 and 0.14 made the
committed files).

    python3 tests/golden/llama3_bpe/make.py

Writes beside itself: tokenizer.json (special and added tokens among it), small.tiktoken, and ids.json: [{"text", "tokenizers": ids with
special tokens found, "gpt2", "cl100k", "llama3", "o200k": tiktoken's ids by that pattern}]; and trained.json, the merges that `tokenizers`
finds in the text of small_bpe/make.py. The cases end with random strings of Unicode 14, so Python must know just that version (3.11 does).
"""

import base64
import importlib.util
import json
import pathlib
import sys
import unicodedata

import tiktoken
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent.parent / "data"))
from gpt2_parity import random_strings  # noqa: E402

RANDOM_STRINGS = 50
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<|begin_of_text|>", "<|endoftext|>"]
CASES = [
    "<|begin_of_text|>They're<|endoftext|> here", "a<tool>b <tool> <tools><<tool>", "a  b   c    d", "<|begin_of_text", "  \n  \n x", "x\n\n \n",
    "camelCase HTTPServer's DON'T won'T 12345678", "path/to//file.\n\n/next", "a'\u017fb 'LL 'Ve", "e\u0301E\u0301 \u0301A \u01c5x \u02b0B", "!\r\n\r\n?\n /",
]


def patterns():
    from tiktoken_ext import openai_public
    # The patterns alone: nothing is loaded.
    given = {"gpt2": openai_public.r50k_pat_str, "llama3": LLAMA3}
    kept, openai_public.load_tiktoken_bpe = openai_public.load_tiktoken_bpe, lambda *_, **__: {}
    for name in ("cl100k", "o200k"):
        given[name] = getattr(openai_public, name + "_base")()["pat_str"]
    openai_public.load_tiktoken_bpe = kept
    return given


def small_bpe():
    spec = importlib.util.spec_from_file_location("small_bpe_make", HERE.parent / "small_bpe/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(pattern, text, size):
    made = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    if pattern is None:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
                                                      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator([text], trainers.BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return made


def ranks_of(made):
    """Bytes -> id of a byte-level vocabulary without added tokens, renumbered so that the bytes come first, as in rank files."""
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    byte_of = {chr(b): b for b in prints} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in prints)}
    assert sorted(byte_of) == characters
    tokens = sorted(made.get_vocab().items(), key=lambda item: item[1])
    return {bytes(byte_of[c] for c in token): rank for rank, (token, _) in enumerate(tokens)}


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    base = small_bpe()
    made = train(LLAMA3, base.TEXT, 480)
    ranks = ranks_of(made)
    (HERE / "small.tiktoken").write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()))
    made.add_special_tokens(SPECIAL)
    made.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("<tools>", normalized=False), AddedToken("  ", normalized=True)])
    (HERE / "tokenizer.json").write_text(json.dumps(json.loads(made.to_str()), separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")
    (HERE / "trained.json").write_text(json.dumps(json.loads(train(None, base.TEXT, 600).to_str())["model"]["merges"], separators=(",", ":")) + "\n")

    encodings = {name: tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={}) for name, pattern in patterns().items()}
    rows = []
    for text in base.CASES + CASES + random_strings(RANDOM_STRINGS, seed=6):
        rows.append({"text": text, "tokenizers": made.encode(text).ids, **{name: e.encode_ordinary(text) for name, e in encodings.items()}})
    (HERE / "ids.json").write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
