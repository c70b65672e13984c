# SPDX-License-Identifier: Apache-2.0
"""Compares `aot tokenizer encode` and `train` with Python's `tiktoken` and `tokenizers`, from the files in tests/golden/llama3_bpe.

    AOT_COMMAND=build/release/aot python3 tests/data/tokenizer_parity.py [TEXT...]

5,000 random strings, and the texts, must give the same ids by each pattern, and the texts the same merges. Ends with 77 when `tiktoken` or
`tokenizers` is not there.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unicodedata

from gpt2_parity import SKIPPED, ids_of_command, random_strings, split_at

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden/llama3_bpe"
STRINGS = 5000


def differing(name, strings, tokenizer, encode):
    """How many strings get other ids. One call for all: 0xff between two strings keeps them apart."""
    between = ids_of_command(b"\xff", tokenizer)
    got = split_at(ids_of_command(b"\xff".join(s.encode() for s in strings), tokenizer), between[0])
    assert len(between) == 1 and len(got) == len(strings)
    wrong = [s for s, ids in zip(strings, got) if ids != encode(s)]
    print(f"{name}: {len(strings) - len(wrong)} of {len(strings)} equal")
    for s in wrong[:3]:
        print("  differs:", ascii(s[:200]))
    return len(wrong)


def differing_merges(path, tokenizers):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.train_from_iterator([text], tokenizers.trainers.BpeTrainer(vocab_size=3999, min_frequency=2, show_progress=False,
                                                                     initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.environ["AOT_COMMAND"], "tokenizer", "train", path, "--vocab", "4000", "--out", folder, "--quiet"], stdout=subprocess.DEVNULL, check=True)
        ours = json.loads((pathlib.Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
    same = [tuple(merge.split(" ")) for merge in ours] == [tuple(merge) for merge in json.loads(theirs.to_str())["model"]["merges"]]
    print(f"merges of {path}: {'equal' if same else 'DIFFERENT'}")
    return not same


def main():
    try:
        import tiktoken
        import tokenizers
    except ImportError:
        tokenizers = None
    if tokenizers is None or unicodedata.unidata_version > "14.0.0":
        print("skipped: needs Python's tiktoken and tokenizers, and a Python that knows no more than Unicode 14")
        return SKIPPED
    sys.path.append(str(GOLDEN))
    import make
    # Special tokens are text to us; without them in the strings, theirs never find one.
    strings = [s.replace("<|endoftext|>", "<|end|>") for s in random_strings(STRINGS, seed=99)]
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", newline="") as file:
            strings.append(file.read())
    reference = tokenizers.Tokenizer.from_file(str(GOLDEN / "tokenizer.json"))
    wrong = differing("tokenizers, llama3", strings, str(GOLDEN / "tokenizer.json"), lambda s: reference.encode(s).ids)
    lines = (GOLDEN / "small.tiktoken").read_text().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    for name, pattern in make.patterns().items():
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        wrong += differing("tiktoken, " + name, strings, f"tiktoken:{GOLDEN}/small.tiktoken:{name}", encoding.encode_ordinary)
    wrong += sum(differing_merges(path, tokenizers) for path in sys.argv[1:])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
