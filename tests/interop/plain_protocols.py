# SPDX-License-Identifier: Apache-2.0
"""The protocols of `aot eval`, plainly, one text at a time and without caches, from their description in docs/eval.md. A model is a function
from a list of ids to log-probabilities (T, V)."""
import json
import math
import pathlib
import re
import string

import torch

BLANK = "XXXXX"
PIECES = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")  # GPT-2's, of text whose letters are ASCII


class Bpe:
    """Byte-level BPE from a tokenizer.json."""

    def __init__(self, path):
        content = json.loads(pathlib.Path(path).read_text())
        self.ids = content["model"]["vocab"]
        pairs = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in content["model"]["merges"]]
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}
        special = {token["content"]: token["id"] for token in content["added_tokens"]}
        self.end = special["<|endoftext|>"]
        prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [b for b in range(256) if b not in prints]
        self.letters = {**{b: chr(b) for b in prints}, **{b: chr(256 + i) for i, b in enumerate(others)}}
        bytes_of = {letter: byte for byte, letter in self.letters.items()}
        self.texts = {id_: bytes(bytes_of[c] for c in token) for token, id_ in self.ids.items() if token not in special}

    def encode(self, text):
        out = []
        for piece in PIECES.findall(text):
            parts = [self.letters[b] for b in piece.encode()]
            while len(parts) > 1:
                rank, at = min((self.ranks.get(pair, math.inf), i) for i, pair in enumerate(zip(parts, parts[1:])))
                if rank == math.inf:
                    break
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            out += [self.ids[part] for part in parts]
        return out

    def decode(self, ids):
        return b"".join(self.texts.get(id_, b"") for id_ in ids).decode("utf-8", "replace")


def mean_and_error(numbers):
    mean = sum(numbers) / len(numbers)
    squares = sum((x - mean) ** 2 for x in numbers)
    return mean, math.sqrt(squares / (len(numbers) - 1) / len(numbers)) if len(numbers) > 1 else None


# --- windows of text ------------------------------------------------------------------------------------------------------------------------

MAX = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mixed(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MAX
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MAX
    return z ^ (z >> 31)


def derive_seed(seed, purpose, index=0):
    hashed = 0xCBF29CE484222325
    for byte in purpose.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 & MAX
    return mixed((mixed(mixed((seed + GOLDEN) & MAX) ^ hashed) + GOLDEN * (index + 1)) & MAX)


def random_starts(count, places, seed):
    of_step = derive_seed(derive_seed(seed, "tost"), "windows of a step", 0)
    for index in range(count):
        state = derive_seed(of_step, "window", index)
        while True:
            state = (state + GOLDEN) & MAX
            drawn = mixed(state)
            if drawn < MAX - MAX % places:
                break
        yield drawn % places


def windows_of(tokens, context, protocol, stride, count, seed):
    """(first, inputs, scored)."""
    if protocol.startswith("tost"):
        length = min(context, tokens - 1)
        return [(first, length, length) for first in random_starts(count, tokens - length, seed)]
    stride = stride if protocol == "strided" else context
    out, done = [], 0
    for first in range(0, tokens, stride):
        length = min(context, tokens - 1 - first)
        out.append((first, length, first + length - done))
        done = first + length
        if done == tokens - 1:
            return out


def text_score(model, tokens, words, context, protocol, stride=None, count=16000, seed=1):
    cache, sums = {}, []
    for first, length, scored in windows_of(len(tokens), context, protocol, stride, count, seed):
        if (first, length) not in cache:
            ids = tokens[first : first + length + 1]
            cache[first, length] = -model(ids[:-1]).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        sums.append((float(cache[first, length][length - scored :].sum()), scored))
    total = sum(scored for _, scored in sums)
    loss = sum(nats for nats, _ in sums) / total
    squares = sum((nats - loss * scored) ** 2 for nats, scored in sums)
    error = math.sqrt(squares * len(sums) / (len(sums) - 1)) / total if len(sums) > 1 else None
    per_word = (len(tokens) if protocol.startswith("tost") else total) / words
    return {"loss": loss, "stderr": error, "tokens": total, "windows": len(sums), "words": words, "nats_per_word": loss * per_word,
            "perplexity": math.exp(loss * per_word if protocol == "word" else loss)}


def item_tokens(items, bpe):
    """All items, each with <|endoftext|> after it, and the words."""
    tokens = []
    for item in items:
        tokens += (bpe.encode(item) if item.strip() else []) + [bpe.end]
    return tokens, sum(len(item.encode().split()) for item in items)


# --- LAMBADA --------------------------------------------------------------------------------------------------------------------------------


def split_passage(text, protocol):
    if protocol != "openai-greedy":
        text = text.replace("“", '"').replace("”", '"')
    pieces = text.strip().split(" ")
    return ("" if protocol == "openai-greedy" else "\n") + " ".join(pieces[:-1]), pieces[-1]


def written(model, ids, count, context):
    ids = ids[-(context + 1 - count) :]
    out = []
    for _ in range(count):
        out.append(int(model(ids + out)[-1].argmax()))
    return out


def lambada(model, bpe, texts, protocol, context, stop_words=()):
    rows = []
    stop_ids = [id_ for id_, text in bpe.texts.items() if text[:1] == b" " and text[1:].decode("utf-8", "replace").lower() in stop_words]
    for text in texts:
        before, target = split_passage(text, protocol)
        ids = bpe.encode(before)
        if protocol == "tost":
            output = bpe.decode(written(model, ids, 10, context))
            first = (output.split() or [""])[0]
            rows.append({"target": target, "output": output, "correct": target.lower() in output.lower(),
                         "strict": first.strip(string.punctuation).lower() == target.strip(string.punctuation).lower()})
            continue
        wanted = bpe.encode(" " + target)
        ids = ((ids or [bpe.end]) + wanted)[-(context + 1) :]
        logs = model(ids[:-1])[-len(wanted) :]
        nats = -sum(float(logs[i, id_]) for i, id_ in enumerate(wanted))
        if protocol == "gpt2-paper":
            logs[0, stop_ids] = -math.inf
        best = logs.argmax(1).tolist()
        rows.append({"target": target, "output": bpe.decode(best), "correct": best == wanted, "last_token": best[-1] == wanted[-1],
                     "nats": nats, "tokens": len(wanted)})
    return rows


# --- the Children's Book Test ---------------------------------------------------------------------------------------------------------------


def cloze_scores(model, bpe, sentences, query, options, protocol, context):
    """Log-probability of each option: of the whole text, or of the option and what follows it."""
    scores, texts = [], []
    story = " ".join(sentences) + " "
    for option in options:
        if protocol == "tost":
            texts.append(([bpe.end], bpe.encode(story + query.replace(BLANK, option))))
        else:
            before, after = query.split(BLANK, 1)
            texts.append((bpe.encode((story + before).rstrip(" ")), bpe.encode(" " + option + after.replace(BLANK, option))))
    cut = max(0, max(len(given) + len(scored) for given, scored in texts) - context)
    for given, scored in texts:
        ids = (given + scored)[cut:]
        count = min(len(scored), len(ids) - 1)
        logs = model(ids[:-1])[-count:]
        scores.append(sum(float(logs[i, id_]) for i, id_ in enumerate(ids[-count:])))
    return scores, cut > 0
