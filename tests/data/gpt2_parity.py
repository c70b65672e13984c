# SPDX-License-Identifier: Apache-2.0
"""Compares `aot tokenizer encode` with Python's `tokenizers`, both from GPT-2's own two files.

    AOT_GPT2_DIR=DIR AOT_COMMAND=build/release/aot python3 tests/data/gpt2_parity.py [TEXT...]

DIR holds encoder.json and vocab.bpe. The texts and 2,000 random strings must give the same ids. Ends with 77 when DIR or `tokenizers` is
not there.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

SKIPPED = 77


def assigned_characters():
    """Code points that this Python knows, by category: of Unicode 14 at most (see main), since PCRE2 10.42 knows no later ones."""
    kinds = {}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category not in ("Cn", "Cs"):
            kinds.setdefault(category, []).append(chr(code))
    return kinds


def random_strings(count, seed):
    """Half even over all characters, half made of what splitting turns on: spaces, digits, letters, marks, apostrophes."""
    kinds = assigned_characters()
    everything = [c for characters in kinds.values() for c in characters]
    spaces = [chr(code) for code in (*range(9, 14), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x200C), 0x2028, 0x2029,
                                     0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)]
    pieces = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", " ", "  ", "\n", "\n\n", "a", "The", " of", "12", "...", "<|endoftext|>"]
    draw = random.Random(seed)
    strings = []
    for number in range(count):
        length = draw.randrange(1, 80)
        if number % 2 == 0:
            strings.append("".join(draw.choice(everything) for _ in range(length)))
            continue
        chosen = []
        for _ in range(length):
            kind = draw.randrange(3)
            source = spaces if kind == 0 else pieces if kind == 1 else kinds[draw.choice(sorted(kinds))]
            chosen.append(draw.choice(source))
        strings.append("".join(chosen))
    return strings


def ids_of_command(text, tokenizer):
    command = [os.environ["AOT_COMMAND"], "tokenizer", "encode", "--tokenizer", tokenizer, "--json"]
    return json.loads(subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout)["ids"]


def written_tokenizers_load(tokenizers, gpt2):
    """Whether Python loads the tokenizer.json of prepared text, of every kind, and gives the same ids by it."""
    text = "They're  12 caf\u00e9s,\n\n\u00fcber 1000 \U0001f642 years old.\n" * 3
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/text.txt", "w", encoding="utf-8") as file:
            file.write(text)
        for kind in ("byte", "char", gpt2):
            out = f"{folder}/{kind[:4]}"
            subprocess.run([os.environ["AOT_COMMAND"], "data", "prepare", folder + "/text.txt", "--tokenizer", kind, "--out", out, "--quiet"],
                           stdout=subprocess.DEVNULL, check=True)
            loaded = tokenizers.Tokenizer.from_file(out + "/tokenizer.json")
            ids = loaded.encode(text, add_special_tokens=False).ids
            same = ids == ids_of_command(text.encode(), out) and loaded.decode(ids) == text
            print(f"tokenizer.json, {kind[:4]}: {'equal' if same else 'DIFFERENT'}")
            wrong += not same
    return wrong


def split_at(ids, separator):
    """[[1, 2], [3]] for ids 1 2 S 3."""
    parts = [[]]
    for token in ids:
        if token == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def main():
    folder = os.environ.get("AOT_GPT2_DIR", "")
    try:
        import tokenizers
    except ImportError:
        tokenizers = None
    if not folder or tokenizers is None or unicodedata.unidata_version > "14.0.0":
        print("skipped: needs AOT_GPT2_DIR, Python's tokenizers, and a Python that knows no more than Unicode 14")
        return SKIPPED
    model = tokenizers.models.BPE.from_file(folder + "/encoder.json", folder + "/vocab.bpe")
    reference = tokenizers.Tokenizer(model)
    reference.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)

    gpt2 = "gpt2:" + folder
    wrong = written_tokenizers_load(tokenizers, gpt2)
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        expected = reference.encode(text, add_special_tokens=False).ids
        same = ids_of_command(text.encode(), gpt2) == expected
        print(f"{path}: {len(expected)} ids, {'equal' if same else 'DIFFERENT'}")
        wrong += not same

    # One call for all strings: bytes that are not UTF-8 are encoded apart, so 0xff between two strings keeps them apart.
    strings = random_strings(2000, seed=14)
    between = ids_of_command(b"\xff", gpt2)
    got = split_at(ids_of_command(b"\xff".join(s.encode() for s in strings), gpt2), between[0])
    assert len(between) == 1 and len(got) == len(strings)
    differing = [s for s, ids in zip(strings, got) if ids != reference.encode(s, add_special_tokens=False).ids]
    print(f"random strings: {len(strings) - len(differing)} of {len(strings)} equal")
    for s in differing[:3]:
        print("  differs:", ascii(s))
    return 1 if wrong or differing else 0


if __name__ == "__main__":
    sys.exit(main())
