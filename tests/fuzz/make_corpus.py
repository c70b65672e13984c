#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed corpora of the fuzz targets into tests/fuzz/corpus/; the same bytes each time."""

import base64
import gzip
import hashlib
import io
import json
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent / "corpus"


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in prints]
    return {**{b: chr(b) for b in prints}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def manifest(**changes):
    document = {"format": 1, "step": 12, "facts": {"run": "x"}, "files": [{"name": "config.json", "bytes": 2, "sha256": "a" * 64}], "sha256": "0" * 64}
    document.update(changes)
    text = json.dumps(document)
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()).encode()


def tokenizer(vocab, merges, split, decoder, special):
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t, i in special]
    model = {"type": "BPE", "dropout": None, "unk_token": None, "vocab": vocab, "merges": merges}
    return json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None, "pre_tokenizer": split,
                       "post_processor": None, "decoder": decoder, "model": model}, ensure_ascii=False).encode()


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def idx(shape, data, kind=8):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + data


def pickled(value, key="0"):
    """A value as torch.save pickles it; (shape, numbers of its storage) stands for a tensor."""
    if isinstance(value, dict):
        return b"}(" + b"".join(pickled(name) + pickled(item) for name, item in value.items()) + b"u"
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    shape, count = value
    strides = (3, 1)[-len(shape):]
    storage = b"(" + pickled("storage") + b"ctorch\nFloatStorage\n" + pickled(key) + pickled("cpu") + pickled(count) + b"tQ"
    numbers = b"".join(b"(" + b"".join(map(pickled, numbers)) + b"t" for numbers in (shape, strides))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickled(0) + numbers + b"\x89ccollections\nOrderedDict\n)RtR"


def archive(pickle, **entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in {"data.pkl": pickle, **entries}.items():
            file.writestr(zipfile.ZipInfo("archive/" + name), content)
    return out.getvalue()


def corpora():
    digest = hashlib.sha256(b"\0" * 8).hexdigest()
    yield "utf8", [b"plain", "aé€😀".encode(), b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\x1b[2J\xe2\x80\xae\x7f"]
    yield "json", [
        b'{"a": [1, -2.5e1, true, false, null, "\\u00e9\\ud83d\\ude00\\n"], "": {}}',
        b"[[[[[[1]]]]]]", b'"\\ud800"', b'{"a":1,"a":2}', b"1e999", b"18446744073709551615",
        manifest(), manifest(format=99), manifest(step=-1), manifest(files=[{"name": "../x", "bytes": 2, "sha256": "b" * 64}]),
    ]
    yield "toml", [
        b"steps = 2_000\nlr = 3e-4\nresume = true\nname = \"t\\u00e9\"\n[model]\nwidth = 0x40\n",
        b"a = 1\na = 2\n", b"a.b.c = '''x'''\nd = \"\"\"\ny\\\n\"\"\"\n", b"a = [1, {b = 2}]\n", b"d = 1979-05-27T07:32:00Z\n", b"[[t]]\nx = nan\n[[t]]\nx = -inf\n",
        b"[a]\n[a.b]\n[a]\n", b"[=\n[a%PDF[as]\n", "\ufe00 = 1".encode(), b"\"quoted key\" = 'literal' # comment\r\n",
    ]
    yield "safetensors", [
        safetensors({"w": tensor("F32", [2], 0, 8)}, b"\0" * 8),
        safetensors({"__metadata__": {"format": "pt", "sha256.w": digest}, "w": tensor("F32", [2], 0, 8)}, b"\0" * 8),
        safetensors(b"{}   "), safetensors({"e": tensor("F16", [0, 3], 0, 0), "s": tensor("I64", [], 0, 8)}, b"\0" * 8),
        json.dumps({"a": tensor("BF16", [4, 4], 0, 32), "b": tensor("F32", [8], 32, 64)}).encode(),
        json.dumps({"a": tensor("F64", [2, 2, 2], 0, 64), "__metadata__": {"sha256.a": "0" * 64}}).encode(),
        json.dumps({"a": tensor("U8", [4294967296, 4294967296], 0, 0)}).encode(),
        json.dumps({"a": tensor("U8", [40], 0, 40), "b": tensor("U8", [40], 24, 64)}).encode(),
    ]
    weights = pickled({"model": {"_orig_mod.w": ([2, 3], 6)}, "w": ([2, 3], 6), "args": {"n": 3, "x": 1.5, "bias": True, "none": None}})
    protocol = b"\x80\2"
    pickles = [protocol + body + b"." for body in (
        weights, b"ccollections\nOrderedDict\n)R" + weights + b"b", b"cos\nsystem\n(" + pickled("true") + b"tR", b"(" + pickled("true") + b"ios\nsystem\n",
        pickled("builtins") + pickled("eval") + b"\x93", b"]q\0(h\0h\0e", b"(" * 1001, b"\x8a\x08" + b"\xff" * 8, b"ctorch._utils\n_rebuild_parameter\n(" + pickled(([3], 3)) + b"tR",
        pickled({"w": ([2, 3], 5)}), pickled({"w": ([2, 3], 2_000_000_000)}), b"\x95\1\0\0\0\0\0\0\0N\x94(K\1K\2lq\1a")]
    yield "pickle", pickles
    whole = archive(pickles[0], **{"data/0": bytes(24)})
    yield "pt_file", [whole, archive(pickles[0]), archive(pickles[0], byteorder="big", **{"data/0": bytes(24)}), archive(pickles[2]), whole[:-1],
                      whole.replace(b"data/0", b"data.0")]
    alphabet = byte_alphabet()
    byte_vocab = {alphabet[b]: b for b in range(256)}
    words = {**byte_vocab, "th": 256, "the": 257, "Ġthe": 258, "<|endoftext|>": 259}
    merges = ["t h", "th e", "Ġ the"]
    yield "bpe_files", [
        json.dumps(words).encode() + b"\0#version: 0.2\n" + "\n".join(merges).encode() + b"\n",
        "Sth\nthe\nĠthe\n<|endoftext|>\0t h\nth e\nĠ the".encode(), b"Sab\nabc\n<s>\0#version: 0.2\r\na b\r\nab c\r\n", b"S\0", b'{"a":0,"b":1}\0a b', b'{"a":-1}\0',
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    plain = {**byte_level, "use_regex": False}
    yield "tokenizer_json", [
        tokenizer(words, merges, byte_level, byte_level, [("<|endoftext|>", 259)]),
        tokenizer(byte_vocab, [], plain, plain, [("<|endoftext|>", 256)]),
        tokenizer({"\n": 0, " ": 1, "a": 2, "€": 3, "<pad>": 4}, [], None, {"type": "Fuse"}, [("<pad>", 4)]),
        tokenizer(words, [m.split(" ") for m in merges], {"type": "ByteLevel"}, {"type": "ByteLevel"}, [("<|endoftext|>", 259)]),
        tokenizer({"a": 0}, [], None, {"type": "Fuse"}, []),
        b'{"version":"1.0","model":{"type":"Unigram","vocab":[]}}',
        tokenizer(words, merges, {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False},
                                                                         plain]}, byte_level, [("<|endoftext|>", 259)]),
        tokenizer(words, merges, byte_level, byte_level, [("<|endoftext|>", 259)]).replace(b'"special": true', b'"special": false'),
        tokenizer({**byte_vocab, "日": 256, "日a": 257}, ["日 a"], byte_level, byte_level, [("日", 256)]).replace(b'"special": true', b'"special": false')
        .replace(b'"unk_token": null', b'"unk_token": null, "ignore_merges": true'),
    ]
    yield "tiktoken_ranks", [
        b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate([*(bytes([b]) for b in range(256)), b"th", b"the", b" the"])),
        b"SdGg= 256\ndGhl 257\r\n", b"SYWE= 256\nYWFh 257\nYWFhYQ== 258\n", b"SdGg= 7\n", b"SdGg= 300\n", b"SdGg 256\n", b"Sd*g= 256\n", b"IQ== 0\n", b"\n",
    ]
    yield "json_lines", [
        b'{"text": "a\\u00e9\\n", "id": 7}', b'{"id": [1, {"text": 2}]}', b'{"text": 1}', b'{"text": "a", "text": "b"}', b'["text"]', b'{"text": "\\ud800"}', b"{}",
    ]
    question = "".join(f"{number} sentence {number} .\n" for number in range(1, 21)) + "21 the XXXXX sat\u00e9 .\tcat\t\tdog|cat|mat\n"
    yield "benchmark_files", [
        b"\0 no it was <unk> N \n\n last", b"\0\r\n\r\n", b"\0", b"\1a b c\n\n d e\n", b'\1{"text": "a b"}\n{"text": "c\\nd"}\n', b'\1{"text": " "}\n', b"\1\n",
        b"\2" + question.encode(), b"\2" + (question + "\n" + question).encode(), b"\2" + question.replace("\n", "\r\n").encode(), b"\2" + question[:200].encode(),
        b"\2" + question.replace("cat\t\t", "cow\t\t").encode(), b"\2" + question.replace("|", "").encode(), b"\2" + question.replace("dog", "").encode(),
    ]
    yield "encode", [
        b"they'll see the  then\n\n  x = 12'll", "é\u0301你好\u3000\u180e\u0085🙂".encode(), b"aaaaaaa aaa\xff\xc3\xa9\xc3 \xed\xa0\x80'l", b" \t\r\n   ",
        b"<|endoftext|>", "word \u2028next\xa0 ".encode() * 4,
    ]
    yield "token_file", [
        bytes([8 << 1]) + struct.pack("<6H", 1, 2, 255, 0, 7, 3), bytes([8 << 1]) + struct.pack("<2H", 1, 256), bytes([17 << 1 | 1]) + struct.pack("<3I", 1, 70000, 5),
        bytes([4 << 1]) + struct.pack("<64I", *[3] * 64), bytes([31 << 1 | 1]) + struct.pack("<2I", 0x80000000, 0xFFFFFFFF), bytes([8 << 1]) + b"abc",
    ]
    images = json.loads((HERE.parent.parent / "golden/images/images.json").read_text())["files"]
    for kind, start in (("jpg", b"\1"), ("png", b"\x81")):
        yield {"jpg": "jpeg", "png": "png"}[kind], [start + base64.b64decode(images[name]["file"]) for name in images if name.endswith(kind)]
    yield "idx", [idx([3, 2, 2], bytes(12)), idx([4], b"\0\1\2\3"), gzip.compress(idx([3, 2, 2], bytes(12)), mtime=0), idx([2, 2, 2, 3], bytes(24)),
                  gzip.compress(idx([4], b""), mtime=0) + gzip.compress(b"abcd", mtime=0), idx([0xFFFFFFFF] * 4, b""), idx([3, 2, 2], bytes(12), kind=13)]
    record = b"\3" + bytes(i % 251 for i in range(3072))
    yield "cifar", [b"\0" + record * 2, b"\1\5" + record, b"\1" + record, b"\0\x0a" + record[1:], b"\0" + record[:-1], b"\0\x80\4\x95" + record]
    split = {"images": 3, "pixels_sha256": "a" * 64, "labels_sha256": "b" * 64, "masks_sha256": None, "sizes_sha256": None}
    meta = {"format": 1, "kind": "images", "height": 2, "width": 3, "channels": 3, "classes": ["a", "b\n"], "mean": [0, 0.5, 1], "std": [0.1, 1, 1],
            "train": split, "val": {**split, "masks_sha256": "c" * 64}, "source": "x", "skipped": 1, "skipped_for": ["y"]}
    files = {**split, "sizes_sha256": "d" * 64}
    changes = [{}, {"val": None}, {"channels": 1, "mean": [0], "std": [1]}, {"kind": "text"}, {"height": 20000}, {"classes": []}, {"std": [0, 0, 0]},
               {"height": None, "width": None, "train": files, "val": files}, {"height": None}]
    yield "image_meta", [json.dumps({**meta, **change}).encode() for change in changes]
    split = {"tokens": 9, "text_bytes": 9, "sha256": "a" * 64}
    meta = {"format": 1, "tokenizer": "byte", "tokenizer_sha256": "b" * 64, "vocab_size": 256, "dtype": "uint16", "train": split, "val": split,
            "source_files": 1, "sources": [{"name": "x\n.txt", "bytes": 18}]}
    changes = [{}, {"val": None}, {"dtype": "int8"}, {"format": 99}, {"vocab_size": -1}, {"sources": [{"name": 3}]}, {"tokenizer_sha256": "xyz"}]
    yield "dataset_meta", [json.dumps({**meta, **change}).encode() for change in changes]


def main():
    for target, files in corpora():
        folder = HERE / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(files):
            (folder / f"seed-{number:02}").write_bytes(content)


if __name__ == "__main__":
    main()
