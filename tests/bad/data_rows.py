# SPDX-License-Identifier: Apache-2.0
"""The rows of the bad-input suite for text and for token files."""

import array
import gzip
import json
import os
import shutil

from rows import MODEL, Row, train

TEXT = "the cat sat on a mat and slept. " * 40


def all_rows(base):
    return [*texts(base), *token_files(base), *prepared(base), *inputs_of_the_tokenizer(base)]


# --- text -----------------------------------------------------------------------------------------------------------------------------------


def prepare(folder, *arguments):
    return ["data", "prepare", *map(str, arguments), "--out", str(folder / "out"), "--quiet"]


def texts(base):
    def text(name, words, content, *arguments, code=3):
        def make(folder):
            path = folder / "in.txt"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            return prepare(folder, path, *(arguments or ("--tokenizer", "char")))

        return Row("text: " + name, code, words, make)

    def place(name, words, put, code=3):
        def make(folder):
            path = folder / "in.txt"
            put(path)
            return prepare(folder, path, "--tokenizer", "byte")

        return Row("text: " + name, code, words, make)

    def folder_of(name, words, files, code=3):
        def make(folder):
            (folder / "in").mkdir()
            for file, content in files.items():
                (folder / "in" / file).write_bytes(content)
            return prepare(folder, folder / "in", "--tokenizer", "char")

        return Row("text folder: " + name, code, words, make)

    good = TEXT.encode()
    lines = b"one\ntwo\n" + b"0123456789abcdef"
    yield text("accepted", [], good, code=0)
    yield text("accepted: NUL and CRLF", [], good + b"\0\r\n", code=0)
    yield text("accepted: any bytes as bytes", [], bytes(range(256)) * 4, "--tokenizer", "byte", code=0)
    yield text("invalid UTF-8", ["line 3, byte 17: not valid UTF-8"], lines + b"\xff" + good)
    yield text("overlong", ["line 3, byte 17: not valid UTF-8"], lines + b"\xc0\xaf" + good)
    yield text("surrogate", ["line 3, byte 17: not valid UTF-8"], lines + b"\xed\xa0\x80" + good)
    yield text("cut character", ["line 3, byte 17: not valid UTF-8"], lines + b"\xe2\x82")
    yield text("UTF-16", ["looks like UTF-16"], TEXT.encode("utf-16"))
    yield text("UTF-16 as bytes", ["looks like UTF-16"], TEXT.encode("utf-16"), "--tokenizer", "byte")
    yield text("gzip", ["looks like gzip"], gzip.compress(good))
    yield text("gzip as bytes", ["looks like gzip"], gzip.compress(good), "--tokenizer", "byte")
    yield text("PNG", ["looks like PNG"], b"\x89PNG\r\n\x1a\n" + bytes(64))
    yield text("ELF", ["looks like ELF"], b"\x7fELF\2\1\1" + bytes(64))
    yield text("one character", ["need at least"], b"a")
    yield text("empty", ["empty file"], b"")
    yield text("share 1", ["--val"], good, "--val", "1", code=2)
    yield text("share -0.1", ["--val"], good, "--val", "-0.1", code=2)
    yield text("share NaN", ["--val"], good, "--val", "nan", code=2)
    yield text("accepted: bpe", [], good, "--tokenizer", "bpe", "--vocab", "300", code=0)
    yield text("vocabulary of 256", ["vocab"], good, "--tokenizer", "bpe", "--vocab", "256", code=2)
    yield text("vocabulary without bpe", ["--vocab is for --tokenizer bpe"], good, "--tokenizer", "byte", "--vocab", "300", code=2)
    yield text("rank file without a pattern", ["needs one of the patterns"], good, "--tokenizer", "tiktoken:x.tiktoken", code=2)
    yield text("rank file missing", ["no such file"], good, "--tokenizer", "tiktoken:no.tiktoken:gpt2")
    row, bytes_only = b'{"text": "the cat"}\n', ("--tokenizer", "byte", "--field", "text")
    yield text("accepted: JSON lines", [], row * 3 + b"\r\n" + row.strip(), *bytes_only, code=0)
    yield text("JSON line cut", ["line 2: not valid JSON"], row + b'{"text": "the', *bytes_only)
    yield text("JSON line of invalid UTF-8", ["line 2: not valid UTF-8"], row + b'{"text": "\xff"}\n', *bytes_only)
    yield text("JSON line without the field", ["line 3: no field 'text'"], row * 2 + b'{"id": 1}\n', *bytes_only)
    yield text("JSON line with a number", ["line 1: field 'text' is a number"], b'{"text": 1}\n', *bytes_only)
    yield text("JSON line that is an array", ["line 1", "need an object"], b'["text"]\n', *bytes_only)
    yield text("JSON line too deep", ["line 1, byte", "nested deeper"], b"[" * 1000, *bytes_only)
    yield text("JSON line of 17 MiB", ["line 2: longer than 16 MiB"], row + b'{"text": "' + b"x" * (17 << 20) + b'"}', *bytes_only)
    yield text("JSON lines, gzip", ["looks like gzip"], gzip.compress(row), *bytes_only)
    yield text("JSON lines outside the vocabulary", ["line 2: U+20AC"], row + '{"text": "a€"}'.encode(), "--tokenizer", str(base.characters / "tokenizer.json"), "--field", "text")
    yield text("JSON lines without a document", ["need at least"], b"\n\n", *bytes_only)
    yield text("unknown tokenizer", ["unheard-of"], good, "--tokenizer", "unheard-of")
    yield text("outside the vocabulary", ["line 2, column 9: U+20AC"], "the cat\non a mat€".encode(), "--tokenizer", str(base.characters / "tokenizer.json"))
    yield place("missing", ["no such file"], lambda path: None)
    yield place("pipe", ["not a regular file"], os.mkfifo)
    yield place("device", ["not a regular file"], lambda path: path.symlink_to("/dev/zero"))
    yield place("loop of links", ["too many levels"], lambda path: path.symlink_to(path.name))
    if os.geteuid() != 0:  # root may read everything
        yield place("no permission", ["permission denied"], lambda path: (path.write_bytes(good), path.chmod(0)), code=4)
    yield folder_of("accepted: bad files are left out", [], {"a.txt": good, "b.gz": gzip.compress(good), "c.txt": b"a\xff", "d": b"", "e\n\x1b": good}, code=0)
    yield folder_of("empty", ["no text files"], {})
    yield folder_of("nothing but images", ["no text files"], {"a.png": b"\x89PNG\r\n\x1a\n" + bytes(64)})

    def not_empty(folder):
        (folder / "out").mkdir()
        (folder / "out" / "kept").write_text("precious")
        (folder / "in.txt").write_bytes(good)
        return prepare(folder, folder / "in.txt")

    def a_file(folder):
        (folder / "out").write_text("precious")
        (folder / "in.txt").write_bytes(good)
        return prepare(folder, folder / "in.txt")

    yield Row("text: output not empty", 2, ["--out"], not_empty)
    yield Row("text: output is a file", 2, ["--out"], a_file)


# --- .bin -----------------------------------------------------------------------------------------------------------------------------------


def token_files(base):
    def tokens(name, words, content, *arguments, code=3):
        def make(folder):
            path = folder / "x.bin"
            path.write_bytes(content.tobytes() if isinstance(content, array.array) else content)
            return train(folder, path, *(arguments or ("--vocab-size", "256")))

        return Row(".bin: " + name, code, words, make)

    context = int(MODEL[MODEL.index("--context") + 1])
    good = array.array("H", list(TEXT.encode()))
    late = array.array("H", [5]) * 10_000_000
    late[-1] = 256
    yield tokens("accepted", [], good, code=0)
    yield tokens("accepted: exactly context + 1", [], good[: context + 1], code=0)
    yield tokens("empty", ["empty file"], b"")
    yield tokens("odd length", ["not a whole number of tokens"], good.tobytes() + b"x")
    yield tokens("shorter than context + 1", [f"has {context} tokens, need"], good[:context])
    yield tokens("id outside the vocabulary at the start", ["token 0: id 300"], array.array("H", [300]) + good)
    yield tokens("id outside the vocabulary at the end of 10 M", ["token 9999999: id 256"], late)
    yield tokens("id outside the tokenizer", ["token 0: id 300"], array.array("H", [300]) + good, "--tokenizer", "byte")
    yield tokens("uint32 read as uint16", ["every second token is 0: u32?"], array.array("I", list(TEXT.encode())))
    yield tokens("no vocabulary", ["--tokenizer or --vocab-size"], good, "--seed", "1", code=2)
    yield tokens("gzip", ["token "], gzip.compress(good.tobytes(), mtime=0) * 2)

    def nothing(folder):
        (folder / "x").mkdir()
        return train(folder, folder / "x", "--vocab-size", "256")

    yield Row(".bin: folder without any", 3, ["train.bin"], nothing)


def prepared(base):
    def row(name, words, damage, *arguments, code=3, inspect=True):
        def make(folder):
            data = folder / "data"
            shutil.copytree(base.characters, data)
            damage(data)
            return ["data", "inspect", str(data), *arguments] if inspect else train(folder, data, *arguments)

        return Row("prepared: " + name, code, words, make)

    def meta(name, words, **changes):
        def damage(data):
            document = json.loads((data / "meta.json").read_text())
            document.update(changes)
            (data / "meta.json").write_text(json.dumps(document))

        return row("meta.json, " + name, words, damage)

    def meta_text(name, words, text):
        return row("meta.json, " + name, words, lambda data: (data / "meta.json").write_bytes(text))

    def swapped(data):
        content = bytearray((data / "train.bin").read_bytes())
        content[0:2], content[2:4] = content[2:4], content[0:2]
        (data / "train.bin").write_bytes(content)

    def other_tokenizer(data):
        shutil.copy(base.bytes / "tokenizer.json", data)

    yield row("accepted", [], lambda data: None, code=0)
    yield row("accepted by training", [], lambda data: None, code=0, inspect=False)
    yield row("two tokens swapped", ["digest mismatch"], swapped)
    yield row("two tokens swapped, found before training", ["digest mismatch"], swapped, inspect=False)
    yield row("train.bin cut", ["meta.json says", "file has"], lambda data: os.truncate(data / "train.bin", 100))
    yield row("val.bin missing", ["no such file"], lambda data: (data / "val.bin").unlink())
    yield row("train.bin a folder", ["not a regular file"], lambda data: ((data / "train.bin").unlink(), (data / "train.bin").mkdir()))
    yield row("tokenizer.json missing", ["no such file"], lambda data: (data / "tokenizer.json").unlink())
    yield row("tokenizer.json of other data", ["digest mismatch"], other_tokenizer)
    yield row("another tokenizer asked for", ["another tokenizer"], lambda data: None, "--tokenizer", "byte")
    yield meta_text("empty", ["empty file"], b"")
    yield meta_text("cut", ["not valid JSON"], b'{"format": 1')
    yield meta_text("deep", ["nested deeper"], b"[" * 100_000)
    yield meta_text("an array", ["meta.json"], b"[]")
    yield meta("format 99", ["newer than"], format=99)
    yield meta("dtype", ["dtype"], dtype="float32")
    yield meta("other dtype", ["meta.json says", "file has"], dtype="uint32")
    yield meta("vocabulary -1", ["vocab_size"], vocab_size=-1)
    yield meta("vocabulary of others", ["another tokenizer"], vocab_size=9)
    yield meta("no counts", ["'tokens'"], train={})
    yield meta("negative count", ["tokens"], train={"tokens": -1, "text_bytes": 1, "sha256": "a" * 64})


# --- what aot tokenizer is given ------------------------------------------------------------------------------------------------------------


def inputs_of_the_tokenizer(base):
    def row(name, code, words, *arguments):
        return Row("tokenizer: " + name, code, words, lambda folder: ["tokenizer", *map(str, arguments)])

    yield row("accepted encode", 0, [], "encode", "the cat", "--tokenizer", base.characters)
    yield row("accepted decode", 0, [], "decode", "[104, 105]", "--tokenizer", "byte")
    yield row("unknown character", 3, ["line 1, column 5: U+20AC"], "encode", "the €", "--tokenizer", base.characters)
    yield row("id outside", 3, ["256"], "decode", "1 256", "--tokenizer", "byte")
    yield row("id negative", 3, ["number 2", "'-1'"], "decode", "1 -1", "--tokenizer", "byte")
    yield row("id above 32 bits", 3, ["number 1"], "decode", "4294967297", "--tokenizer", "byte")
    yield row("no id", 3, ["number 1", "'x'"], "decode", "x", "--tokenizer", "byte")
    yield row("no tokenizer", 2, ["--tokenizer"], "encode", "x")
    yield row("char without its characters", 2, ["char"], "encode", "x", "--tokenizer", "char")
    yield row("two inputs", 2, ["not both"], "encode", "x", "--file", "/dev/null", "--tokenizer", "byte")
    yield row("missing files", 3, ["encoder.json"], "encode", "x", "--tokenizer", "gpt2:/nonexistent")
    yield row("missing tokenizer.json", 3, ["no such file"], "encode", "x", "--tokenizer", "/nonexistent/tokenizer.json")
