# SPDX-License-Identifier: Apache-2.0
"""The rows of the bad-input suite, by class of input. A row makes its files in a folder of its own and says how to call `aot` on them."""

import array
import dataclasses
import hashlib
import json
import os
import shutil
import struct
import typing

MODEL = ["--width", "16", "--layers", "1", "--heads", "2", "--context", "8"]
TRAINING = ["--steps", "2", "--batch", "2", "--eval-every", "2", "--eval-windows", "1", "--warmup", "1", "--threads", "1", "--seed", "1", "--quiet"]


@dataclasses.dataclass
class Row:
    name: str
    code: int
    words: list
    make: typing.Callable  # of the row's folder: writes files, returns the arguments of aot


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in prints]
    return {**{b: chr(b) for b in prints}, **{b: chr(256 + i) for i, b in enumerate(others)}}


ALPHABET = byte_alphabet()


class Base:
    """Good files that rows copy and damage: a text in bytes, a run trained on it, and prepared folders."""

    def __init__(self, folder, run):
        folder.mkdir()
        self.text, self.run_folder = folder / "text", folder / "run"
        write_bytes_data(self.text)
        code, errors, _, _ = run(["train", "--data", str(self.text), "--vocab-size", "256", "--out", str(self.run_folder), *MODEL, *TRAINING])
        assert code == 0, errors
        self.characters, self.bytes = folder / "characters", folder / "bytes"
        (folder / "text.txt").write_text("the cat sat\non a mat and slept.\n" * 40)
        for kind, out in (("char", self.characters), ("byte", self.bytes)):
            code, errors, _, _ = run(["data", "prepare", str(folder / "text.txt"), "--tokenizer", kind, "--out", str(out)])
            assert code == 0, errors
        self.checkpoint = last_checkpoint(self.run_folder)
        self.byte_checkpoint, self.character_checkpoint = (self.trained(run, data) for data in (self.bytes, self.characters))

    @staticmethod
    def trained(run, data):
        """A checkpoint with the tokenizer of prepared text."""
        out = data.with_name(data.name + "-run")
        code, errors, _, _ = run(["train", "--data", str(data), "--out", str(out), *MODEL, *TRAINING])
        assert code == 0, errors
        return last_checkpoint(out)


def last_checkpoint(run_folder):
    return max((run_folder / "checkpoints").glob("step-*"))


def write_bytes_data(folder, tokenizer=None):
    """nanoGPT's folder, its tokens being bytes."""
    folder.mkdir(parents=True)
    text = b"the cat sat on a mat and slept. " * 40
    for split in ("train", "val"):
        (folder / f"{split}.bin").write_bytes(array.array("H", list(text)).tobytes())
    if tokenizer is not None:
        (folder / "tokenizer.json").write_text(tokenizer)


def train(folder, data, *more):
    arguments = ["--data", str(data), "--out", str(folder / "out"), *MODEL, *TRAINING]
    for flag in more[::2]:  # a flag may be given once
        if flag in arguments:
            at = arguments.index(flag)
            del arguments[at : at + 2]
    return ["train", *arguments, *more]


def all_rows(base):
    return [*any_file(base), *safetensors(base), *checkpoints(base), *tokenizers(base), *settings(base)]


# --- any file -------------------------------------------------------------------------------------------------------------------------------


def any_file(base):
    def config(name, code, words, put):
        def make(folder):
            path = folder / "run.toml"
            put(path)
            return train(folder, base.text, "--vocab-size", "256", "--config", str(path))

        return Row("any file: " + name, code, words, make)

    def loop(path):
        path.symlink_to(path.name)

    def huge(path):
        path.touch()
        os.truncate(path, 1 << 40)

    yield config("missing", 3, ["run.toml: no such file"], lambda path: None)
    yield config("folder", 3, ["not a regular file"], lambda path: path.mkdir())
    yield config("pipe", 3, ["not a regular file"], os.mkfifo)
    yield config("device", 3, ["not a regular file"], lambda path: path.symlink_to("/dev/zero"))
    yield config("empty", 3, ["empty file"], lambda path: path.touch())
    yield config("loop of links", 3, ["too many levels"], loop)
    yield config("sparse, 1 TB", 2, ["larger than 1 MiB"], huge)
    yield config("gzip", 2, ["looks like gzip"], lambda path: path.write_bytes(b"\x1f\x8b\x08\0\0"))
    yield config("ELF", 2, ["looks like ELF"], lambda path: path.write_bytes(b"\x7fELF\2\1\1"))
    if os.geteuid() != 0:  # root may read everything
        yield config("no permission", 4, ["permission denied"], lambda path: (path.touch(), path.chmod(0)))
    strange = "\x1b[2J\n\u202e.toml"
    yield Row("any file: strange name", 3, ["\\x1b[2J\\x0a", "no such file"],
              lambda folder: train(folder, base.text, "--vocab-size", "256", "--config", str(folder / strange)))
    yield Row("any file: long name", 3, ["no such file"],
              lambda folder: train(folder, base.text, "--vocab-size", "256", "--config", str(folder / ("d/" * 600) / "run.toml")))


# --- safetensors ----------------------------------------------------------------------------------------------------------------------------


def safetensors_bytes(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def split_safetensors(path):
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def safetensors(base):
    good_header, good_data = split_safetensors(base.checkpoint / "model.safetensors")
    plain = {name: entry for name, entry in good_header.items() if name != "__metadata__"}  # without digests, as others write it
    first = min(plain, key=lambda name: plain[name]["data_offsets"])
    total = len(good_data)

    def start_from(folder, content):
        model = folder / "model"
        model.mkdir()
        shutil.copy(base.checkpoint / "config.json", model)
        (model / "model.safetensors").write_bytes(content)
        return train(folder, base.text, "--vocab-size", "256", "--init-from", str(model))

    def file(name, words, content, code=3):
        return Row("safetensors: " + name, code, words, lambda folder: start_from(folder, content))

    def header(name, words, change, data=good_data, code=3):
        changed = json.loads(json.dumps(plain))
        return file(name, words, safetensors_bytes(change(changed) or changed, data), code)

    def entry(name, words, **changes):
        return header(name, words, lambda h: h[first].update(changes))

    def text(name, words, header_text, data=b""):
        return file(name, words, safetensors_bytes(header_text, data))

    tensor = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    yield file("accepted: as others write it", [], safetensors_bytes(plain, good_data), code=0)
    yield file("accepted: spaces after the header", [], safetensors_bytes(json.dumps(plain).encode() + b"     ", good_data), code=0)
    yield file("7 bytes", ["need at least 8 bytes"], b"1234567")
    yield file("header length 0", ["header length"], struct.pack("<Q", 0) + b"{}")
    for length in (1 << 63, (1 << 64) - 1, 3):
        yield file(f"header length {length}", ["header length", "exceeds the file"], struct.pack("<Q", length) + b"{}")
    yield file("pickle", ["looks like"], b"PK\x03\x04" + bytes(100))
    yield text("not UTF-8", ["not valid UTF-8 at byte"], b'{"\xff":1}')
    yield text("byte order mark", ["must begin with '{'"], b"\xef\xbb\xbf{}")
    yield text("an array", ["must begin with '{'"], b"[]")
    yield text("cut JSON", ["not valid JSON at byte"], b'{"a":{"dtype"')
    yield text("NUL padding", ["not valid JSON at byte"], b"{}\0\0")
    yield text("100 000 deep", ["nested deeper"], b'{"a":' * 100_000)
    yield text("tensor twice", ["duplicate"], b"{" + tensor + b"," + tensor.replace(b"[0,4]", b"[4,8]") + b"}", bytes(8))
    yield text("metadata twice", ["duplicate"], b'{"__metadata__":{},"__metadata__":{},' + tensor + b"}", bytes(4))
    yield text("key twice", ["duplicate"], b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4))
    yield header("unknown key", ["unknown key"], lambda h: h[first].update(extra=1))
    yield header("missing dtype", ["missing 'dtype'"], lambda h: h[first].pop("dtype") and None)
    yield entry("unknown dtype", ["unknown dtype"], dtype="float32")
    for shape in ([-1], [2.0], ["2"], [1 << 64]):
        yield entry(f"shape {shape}", ["non-negative integers"], shape=shape)
    yield entry("wrapping shape", ["size overflows"], shape=[1 << 32, 1 << 32, 4])
    yield entry("rank 10 000", ["rank"], shape=[1] * 10_000)
    yield entry("reversed offsets", ["offsets"], data_offsets=[8, 0])
    yield entry("negative offset", ["offsets"], data_offsets=[-8, 0])
    yield entry("one offset", ["offsets"], data_offsets=[0])
    yield entry("past the end", ["past the end"], data_offsets=[0, total + 1])
    yield entry("wrong length", ["needs", "bytes"], data_offsets=[0, 4])
    yield header("overlap", ["overlap"], lambda h: {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}, bytes(6))
    yield header("hole", ["hole of 8 bytes"], lambda h: {"a": {"dtype": "U8", "shape": [4], "data_offsets": [8, 12]}}, bytes(12))
    yield header("bytes after", ["bytes after"], lambda h: None, good_data + b"x")
    yield header("100 000 tensors on one range", ["overlap"],
                 lambda h: {f"t{i}": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for i in range(100_000)}, bytes(4))
    yield header("tensor absent", ["missing tensor"], lambda h: {"other": {"dtype": "U8", "shape": [total], "data_offsets": [0, total]}})
    yield header("tensor too many", ["unexpected tensor"],
                 lambda h: h.update({"../../etc/passwd": {"dtype": "U8", "shape": [4], "data_offsets": [total, total + 4]}}), good_data + bytes(4))
    yield header("other shape", ["model needs"], lambda h: h[first].update(shape=h[first]["shape"] + [1]))
    yield header("NaN weight", ["non-finite value"], lambda h: None, struct.pack("<f", float("nan")) + good_data[4:])


# --- checkpoints ----------------------------------------------------------------------------------------------------------------------------


def forged(path, change):
    """The manifest changed and its own digest made right again, as somebody hostile would."""
    document = json.loads(path.read_text())
    change(document)
    document["sha256"] = "0" * 64
    text = json.dumps(document)
    path.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))


def checkpoints(base):
    def row(name, words, damage, code=3):
        def make(folder):
            checkpoint = folder / base.checkpoint.name
            shutil.copytree(base.checkpoint, checkpoint)
            damage(checkpoint)
            return train(folder, base.text, "--vocab-size", "256", "--init-from", str(checkpoint))

        return Row("checkpoint: " + name, code, words, make)

    def manifest(name, words, change):
        return row("manifest " + name, words, lambda folder: forged(folder / "manifest.json", change))

    def edit(file, change):
        def damage(folder):
            path = folder / file
            path.write_bytes(change(path.read_bytes()))

        return damage

    def flip(at):
        return lambda content: content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

    def link_out(folder):
        shutil.move(folder / "model.safetensors", folder.parent / "elsewhere")
        (folder / "model.safetensors").symlink_to("../elsewhere")

    yield row("accepted: whole", [], lambda folder: None, code=0)
    yield row("manifest empty", ["manifest is"], edit("manifest.json", lambda content: b""))
    yield row("manifest zeros", ["manifest is"], edit("manifest.json", lambda content: bytes(len(content))))
    yield row("manifest cut", ["manifest is"], edit("manifest.json", lambda content: content[: len(content) // 2]))
    yield row("manifest flipped", ["manifest is"], edit("manifest.json", lambda content: content.replace(b'"step": 2', b'"step": 3')))
    yield row("weights missing", ["missing file"], lambda folder: (folder / "model.safetensors").unlink())
    yield row("weights cut", ["manifest says"], edit("model.safetensors", lambda content: content[:-1]))
    yield row("bit flipped", ["digest mismatch", "tensor '"], edit("model.safetensors", flip(-9)))
    yield row("another byte in config.json", ["digest mismatch"], edit("config.json", lambda content: content.replace(b"\n", b"\t", 1)))
    yield row("link out", ["symbolic link"], link_out)
    for name in ("../x", "/x", "a/b"):
        yield manifest(f"name {name}", ["not a plain file name"], lambda document, name=name: document["files"][0].update(name=name))
    yield manifest("format 99", ["newer than"], lambda document: document.update(format=99))
    for value in (0, "x"):
        yield manifest(f"format {value}", ["bad format version"], lambda document, value=value: document.update(format=value))
    for value in (-1, 1.5, 1 << 63, 7):
        yield manifest(f"step {value}", ["bad step"], lambda document, value=value: document.update(step=value))
    yield Row("checkpoint: nothing there", 3, ["incomplete checkpoint"], lambda folder: resumed(base, folder, without_manifests))
    yield Row("checkpoint: run without any", 3, ["checkpoint"], lambda folder: resumed(base, folder, lambda run: shutil.rmtree(run / "checkpoints")))


def without_manifests(run):
    for path in run.glob("checkpoints/step-*/manifest.json"):
        path.unlink()


def resumed(base, folder, damage):
    """Arguments that go on with a damaged copy of the run."""
    run = folder / "run"
    shutil.copytree(base.run_folder, run, symlinks=True)
    damage(run)
    return ["train", "--resume", str(run), "--steps", "4", "--threads", "1", "--quiet"]


# --- tokenizers -----------------------------------------------------------------------------------------------------------------------------


def vocabulary():
    out = {ALPHABET[byte]: byte for byte in range(256)}
    return {**out, "th": 256, "the": 257, "\u0120the": 258, "<|endoftext|>": 259}


MERGES = "#version: 0.2\nt h\nth e\n\u0120 the\n"


def byte_tokenizer(**changes):
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "vocab": {ALPHABET[byte]: byte for byte in range(256)}, "merges": []}
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": level,
                "post_processor": None, "decoder": level, "model": model}
    document.update(changes)
    return document


def tokenizers(base):
    def files(name, words, vocab, merges=MERGES, code=3):
        def make(folder):
            gpt2 = folder / "gpt2"
            gpt2.mkdir()
            (gpt2 / "encoder.json").write_text(vocab if isinstance(vocab, str) else json.dumps(vocab))
            (gpt2 / "vocab.bpe").write_text(merges)
            return train(folder, base.text, "--tokenizer", str(gpt2))

        return Row("tokenizer: " + name, code, words, make)

    def renamed(old, new, number):
        return {(new if token == old else token): (number if token == old else other) for token, other in vocabulary().items()}

    def document(name, words, content, code=3):
        def make(folder):
            write_bytes_data(folder / "text", content if isinstance(content, str) else json.dumps(content))
            return train(folder, folder / "text")

        return Row("tokenizer.json: " + name, code, words, make)

    def special(content, number):
        return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}

    yield files("accepted", [], vocabulary(), code=0)
    yield files("accepted: CRLF and no version line", [], vocabulary(), "t h\r\nth e\r\n\u0120 the\r\n", code=0)
    yield files("cut", ["not valid JSON"], json.dumps(vocabulary())[:900])
    yield files("deep", ["nested deeper"], "[" * 100_000)
    yield files("an array", ["need an object"], "[]")
    for number in (-1, 1.5, "7", 1 << 31):
        yield files(f"id {number!r}", ["id must be"], renamed("the", "the", number))
    yield files("id twice", ["used by 'th' and 'the'"], renamed("the", "the", 256))
    yield files("id hole", ["no token for id"], renamed("the", "the", 400))
    yield files("token empty", ["empty token"], renamed("the", "", 257))
    yield files("token of 1 MiB", ["longer than"], renamed("the", "x" * (1 << 20), 257))
    yield files("token twice", ["duplicate"], json.dumps(vocabulary()).replace('"the"', '"th"'))
    yield files("byte missing", ["no token for byte 0x80"], renamed(ALPHABET[0x80], "other", 128))
    yield files("merge with one part", ["merge 2:"], vocabulary(), "t h\nthe\n")
    yield files("merge with three parts", ["merge 2:"], vocabulary(), "t h\nth e x\n")
    yield files("merge of an unknown part", ["merge 2:"], vocabulary(), "t h\nxyz e\n")
    yield files("merge without result", ["merge 2:"], vocabulary(), "t h\ne a\n")
    yield files("merge repeated", ["merge 3:"], vocabulary(), "t h\nth e\nt h\n")
    yield document("accepted", [], byte_tokenizer(), code=0)
    yield document("other model", ["not supported"], byte_tokenizer(model={"type": "Unigram", "vocab": []}))
    yield document("normalizer", ["not supported"], byte_tokenizer(normalizer={"type": "NFC"}))
    yield document("pre-tokenizer", ["not supported"], byte_tokenizer(pre_tokenizer={"type": "Whitespace"}))
    yield document("cut", ["not valid JSON"], json.dumps(byte_tokenizer())[:900])
    yield document("deep", ["nested deeper"], "[" * 100_000)
    yield document("special token empty", ["special token"], byte_tokenizer(added_tokens=[special("", 256)]))
    yield document("special token outside", ["special token"], byte_tokenizer(added_tokens=[special("<x>", 999)]))
    yield document("special token taken", ["special token"], byte_tokenizer(added_tokens=[special("<x>", 65)]))


# --- TOML and flags -------------------------------------------------------------------------------------------------------------------------


def settings(base):
    def toml(name, words, text):
        def make(folder):
            (folder / "run.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
            return train(folder, base.text, "--vocab-size", "256", "--config", str(folder / "run.toml"))

        return Row("TOML: " + name, 2, words, make)

    def flags(name, words, *arguments, code=2):
        return Row("flags: " + name, code, words, lambda folder: train(folder, base.text, "--vocab-size", "256", *arguments))

    yield toml("syntax", ["line 3, column"], "lr = 0.1\nseed = 2\nbatch = = 3\n")
    yield toml("unknown key", ["unknown key 'widht', did you mean 'width'?"], "widht = 32\n")
    yield toml("unknown table", ["unknown key"], "[model]\nwidth = 32\n")
    yield toml("key twice", ["already set at line 1"], "lr = 0.1\nseed = 1\nlr = 0.2\n")
    yield toml("wrong type", ["need an integer"], 'accumulate = "many"\n')
    yield toml("out of range", ["too small"], "accumulate = 0\n")
    yield toml("NaN rate", ["finite"], "lr = nan\n")
    for name, text in (("arrays", "a = " + "[" * 100_000), ("inline tables", "a = " + "{a=" * 100_000), ("dotted keys", "a." * 100_000 + "a = 1"),
                       ("headers", "[" + "a." * 100_000 + "a]")):
        yield toml(f"100 000 {name}", ["nested deeper than 64"], text)
    yield toml("2 MiB", ["larger than 1 MiB"], "#" * (2 << 20))
    yield toml("not UTF-8", ["line 2", "not valid UTF-8"], b'lr = 0.1\nnote = "\xff"\n')
    yield toml("NUL", ["line 2", "NUL"], b"lr = 0.1\nnot\0e = 1\n")
    yield toml("JSON", ["line 1"], '{"lr": 0.1}')
    yield toml("YAML", ["line 2"], "# YAML\nlr: 0.1\n")
    yield flags("unknown", ["widht"], "--widht", "32")
    yield flags("not a number", ["--batch", "need an integer"], "--batch", "many")
    yield flags("above 64 bits", ["--batch", "need an integer"], "--batch", "99999999999999999999")
    yield flags("heads that do not divide", ["100", "3"], "--width", "100", "--heads", "3")
    yield flags("width 2^40", ["width"], "--width", str(1 << 40))
    yield flags("warm-up longer than the run", ["warmup"], "--warmup", "50")
    yield flags("unknown mixer", ["mixer", "mssa"], "--mixer", "unheard-of")
    yield flags("device absent", ["device"], "--device", "cuda:7")
    yield flags("no such data", ["no such file"], "--data", "/nonexistent/text", code=3)

    def not_empty(folder):
        (folder / "out").mkdir()
        (folder / "out" / "kept").write_text("precious")
        return train(folder, base.text, "--vocab-size", "256")

    yield Row("flags: output not empty", 2, ["out"], not_empty)
