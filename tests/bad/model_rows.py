# SPDX-License-Identifier: Apache-2.0
"""The rows of the bad-input suite for commands that take a trained model: generate, eval text and on published files, inspect and icl
eval."""

import array
import json
import os
import shutil

from rows import Row, forged

TEXT = "the cat sat on a mat and slept. " * 4


def all_rows(base):
    return [*damaged_models(base), *generation(base), *evaluation(base), *benchmarks(base), *inspection(base), *regression(base)]


def generate(model, *more):
    return ["generate", "--model", str(model), "--prompt", "the", "--tokens", "2", "--threads", "1", "--quiet", *map(str, more)]


def evaluate(model, data, *more):
    return ["eval", "text", "--model", str(model), "--data", str(data), "--threads", "1", "--quiet", *map(str, more)]


# --- damaged checkpoints, by each command that reads them -------------------------------------------------------------------------------------


def damaged_models(base):
    def edit(file, change):
        def damage(folder):
            path = folder / file
            path.write_bytes(change(path.read_bytes()))

        return damage

    def config(**changes):
        """A model of others: no manifest says what config.json was."""

        def damage(folder):
            (folder / "manifest.json").unlink()
            document = json.loads((folder / "config.json").read_text())
            document.update(changes)
            (folder / "config.json").write_text(json.dumps(document))

        return damage

    def flip(content):
        return content[:-9] + bytes([content[-9] ^ 4]) + content[-8:]

    def deep(folder):
        (folder / "manifest.json").unlink()
        (folder / "config.json").write_text("[" * 100_000)

    def link_out(folder):
        shutil.move(folder / "model.safetensors", folder.parent / "elsewhere")
        (folder / "model.safetensors").symlink_to("../elsewhere")

    damages = [
        ("accepted: whole", [], lambda folder: None, 0),
        ("manifest cut", ["manifest is"], edit("manifest.json", lambda content: content[: len(content) // 2]), 3),
        ("format 99", ["newer than"], lambda folder: forged(folder / "manifest.json", lambda document: document.update(format=99)), 3),
        ("name ../x", ["not a plain file name"],
         lambda folder: forged(folder / "manifest.json", lambda document: document["files"][0].update(name="../x")), 3),
        ("weights missing", ["missing file"], lambda folder: (folder / "model.safetensors").unlink(), 3),
        ("weights cut", ["manifest says"], edit("model.safetensors", lambda content: content[:-1]), 3),
        ("bit flipped", ["digest mismatch", "tensor '"], edit("model.safetensors", flip), 3),
        ("link out", ["symbolic link"], link_out, 3),
        ("config.json cut", ["config.json"], edit("config.json", lambda content: content[:20]), 3),
        ("config.json deep", ["nested deeper"], deep, 3),
        ("width 2^40", ["width"], config(width=1 << 40), 3),
        ("width -1", ["width"], config(width=-1), 3),
        ("width as text", ["width"], config(width="16"), 3),
        ("vocabulary of others", ["model needs"], config(vocab_size=300), 3),
        ("unknown mixer", ["mixer"], config(mixer="unheard-of"), 3),
        ("tokenizer.json cut", ["tokenizer.json"], edit("tokenizer.json", lambda content: content[: len(content) // 2]), 3),
    ]
    commands = {"generate": lambda folder, model: generate(model), "eval": lambda folder, model: evaluate(model, base.bytes)}
    only_config = ("accepted", "manifest cut", "config.json", "width", "unknown mixer")
    for name, words, damage, code in damages:
        for command, arguments in {**commands, "inspect": lambda folder, model: ["inspect", str(model)]}.items():
            if command == "inspect" and not name.startswith(only_config):
                continue  # inspect reads no weights

            def make(folder, damage=damage, arguments=arguments):
                model = folder / base.byte_checkpoint.name
                shutil.copytree(base.byte_checkpoint, model)
                damage(model)
                return arguments(folder, model)

            yield Row(f"{command}: {name}", code, words, make)


# --- generate -------------------------------------------------------------------------------------------------------------------------------


def generation(base):
    def row(name, code, words, *more, model=None):
        def make(folder):
            arguments = generate(model or base.byte_checkpoint)
            for flag in more[::2]:
                if flag in arguments:
                    at = arguments.index(flag)
                    del arguments[at : at + 2]
            return [*arguments, *map(str, more)]

        return Row("generate: " + name, code, words, make)

    def prompt_file(name, code, words, put):
        def make(folder):
            put(folder / "prompt")
            arguments = generate(base.byte_checkpoint)
            at = arguments.index("--prompt")
            return [*arguments[:at], *arguments[at + 2 :], "--prompt-file", str(folder / "prompt")]

        return Row("generate: prompt file, " + name, code, words, make)

    for flag, values in {"--tokens": (-1, 1 << 63, "x", 1.5), "--top-k": (-1, "x"), "--temperature": ("nan", "inf", -1), "--top-p": (2, -0.5, "nan"),
                         "--min-p": (2, "nan"), "--repetition-penalty": (0.001, 101), "--n": (0, -1), "--seed": ("x",)}.items():
        for value in values:
            yield row(f"{flag} {value}", 2, [flag], flag, value)
    yield row("--stop of nothing", 2, ["--stop"], "--stop", "")
    yield row("unknown flag", 2, ["--topk"], "--topk", 1)
    yield row("no model there", 3, ["nonexistent"], "--model", "/nonexistent")
    yield row("a file as model", 3, ["train.bin"], "--model", base.bytes / "train.bin")
    yield row("prompt outside the vocabulary", 3, ["U+20AC"], "--prompt", "a mat€", model=base.character_checkpoint)
    yield row("accepted: longer than the context", 0, [], "--prompt", TEXT, "--tokens", 20)
    yield row("accepted: no tokens, greedy", 0, [], "--tokens", 0, "--temperature", 0)
    yield prompt_file("missing", 3, ["no such file"], lambda path: None)
    yield prompt_file("folder", 3, ["not a regular file"], lambda path: path.mkdir())
    yield prompt_file("pipe", 3, ["not a regular file"], os.mkfifo)
    yield prompt_file("accepted: bytes that are no UTF-8", 0, [], lambda path: path.write_bytes(b"the \xff\xfe\0cat"))


# --- eval text ------------------------------------------------------------------------------------------------------------------------------


def evaluation(base):
    def tokens(name, words, content, code=3):
        def make(folder):
            path = folder / "x.bin"
            path.write_bytes(content.tobytes() if isinstance(content, array.array) else content)
            return evaluate(base.byte_checkpoint, path)

        return Row("eval .bin: " + name, code, words, make)

    def text(name, words, content, model, code=3):
        def make(folder):
            (folder / "x.txt").write_bytes(content)
            return evaluate(model, folder / "x.txt")

        return Row("eval text: " + name, code, words, make)

    good = array.array("H", list(TEXT.encode()))
    yield tokens("accepted", [], good, code=0)
    yield tokens("accepted: two tokens", [], good[:2], code=0)
    yield tokens("one token", ["need at least 2 tokens"], good[:1])
    yield tokens("empty", ["empty file"], b"")
    yield tokens("odd length", ["not a whole number of tokens"], good.tobytes() + b"x")
    yield tokens("id outside at the start", ["token 0: id 300"], array.array("H", [300]) + good)
    yield tokens("id outside at the end", [f"token {len(good)}: id 256"], good + array.array("H", [256]))
    yield tokens("uint32 read as uint16", ["every second token is 0: u32?"], array.array("I", list(TEXT.encode())))
    yield text("accepted: any bytes", [], bytes(range(256)), base.byte_checkpoint, code=0)
    yield text("outside the vocabulary", ["line 2, column 9: U+20AC"], "the cat\non a mat€".encode(), base.character_checkpoint)
    yield text("not UTF-8", ["line 2", "not valid UTF-8"], b"the cat\non \xff", base.character_checkpoint)
    yield text("empty", ["empty file"], b"", base.byte_checkpoint)
    yield text("one character", ["need at least 2 tokens"], b"a", base.byte_checkpoint)
    yield text("gzip", ["looks like gzip"], b"\x1f\x8b\x08\0\0" + bytes(40), base.byte_checkpoint)

    def row(name, code, words, *arguments):
        return Row("eval text: " + name, code, words, lambda folder: evaluate(*arguments))

    def damaged_data(folder):
        data = folder / "data"
        shutil.copytree(base.bytes, data)
        content = bytearray((data / "val.bin").read_bytes())
        content[0:2], content[2:4] = content[2:4], content[0:2]
        (data / "val.bin").write_bytes(content)
        return evaluate(base.byte_checkpoint, data)

    yield Row("eval text: two tokens swapped", 3, ["digest mismatch"], damaged_data)
    yield row("accepted: overlapping windows", 0, [], base.byte_checkpoint, base.bytes, "--stride", 4)
    yield row("data of another tokenizer", 3, ["another tokenizer"], base.byte_checkpoint, base.characters)
    yield row("data missing", 3, ["no such file"], base.byte_checkpoint, "/nonexistent/x.txt")
    yield row("stride -1", 2, ["--stride"], base.byte_checkpoint, base.bytes, "--stride", -1)
    yield row("unknown split", 2, ["--split"], base.byte_checkpoint, base.bytes, "--split", "test")


# --- eval on published files -----------------------------------------------------------------------------------------------------------------


def benchmarks(base):
    def row(name, code, words, task, content, *more, model=base.byte_checkpoint):
        def make(folder):
            path = folder / "x.txt"
            path.write_bytes(content)
            return ["eval", task, "--model", str(model), "--data", str(path), "--threads", "1", "--quiet", *map(str, more)]

        return Row(f"eval {task}: {name}", code, words, make)

    passage = b'{"text": "the cat sat on a mat"}\n'
    story = b"".join(b"%d s %d .\n" % (i, i) for i in range(1, 21))
    question = story + b"21 the XXXXX sat .\tcat\t\tdog|cat|cow\n"
    yield row("accepted: last words", 0, ["not the published file"], "lambada", passage * 3, "--protocol", "openai-greedy")
    yield row("accepted: plain text", 0, [], "lambada", b"the cat .\n\na mat .\n", "--protocol", "tost-loss", "--windows", 3)
    yield row("ten tokens in a context of eight", 2, ["writes 10 tokens"], "lambada", passage)
    yield row("a word past the context", 3, ["line 2: its last word has 10 tokens"], "lambada", passage + b'{"text": "a wonderful"}\n', "--protocol",
              "openai-greedy")
    yield row("no field", 3, ["line 2: no field 'text'"], "lambada", passage + b'{"txt": 1}\n', "--protocol", "gpt2-paper")
    yield row("cut line", 3, ["line 2", "not valid JSON"], "lambada", passage + b'{"text": "a', "--protocol", "gpt2-paper")
    yield row("outside the vocabulary", 3, ["line 2", "U+0051"], "lambada", passage + b'{"text": "a Q cat"}\n', "--protocol", "openai-greedy",
              model=base.character_checkpoint)
    yield row("unknown protocol", 2, ["--protocol", "openai-greedy"], "lambada", passage, "--protocol", "openai")
    for protocol in ("tost", "gpt2-paper"):
        yield row(f"accepted: {protocol}", 0, [], "cbt-cn", question, "--protocol", protocol)
    yield row("sentence missing", 3, ["line 7: need line 7"], "cbt-ne", question.replace(b"7 s 7 .\n", b"", 1))
    yield row("query without a blank", 3, ["line 21: no blank"], "cbt-ne", question.replace(b"XXXXX", b"cat"))
    yield row("answer not an option", 3, ["line 21: answer 'cat' is not among"], "cbt-ne", question.replace(b"|cat", b"|hen"))
    yield row("options cut", 3, ["line 21: need 4 fields"], "cbt-ne", question[:-14])
    yield row("gzip", 3, ["looks like gzip"], "cbt-ne", b"\x1f\x8b\x08\0\0" + bytes(40))
    yield row("accepted", 0, [], "ptb", b" the cat sat \n a mat <unk> N \n", "--protocol", "word")
    yield row("not UTF-8", 3, ["line 2, byte 4: not valid UTF-8"], "ptb", b" a \n b \xff\n")
    yield row("empty", 3, ["empty file"], "ptb", b"")
    yield row("stride of another protocol", 2, ["--stride is for --protocol strided"], "ptb", b"a b\n", "--stride", 3)
    yield row("windows of another protocol", 2, ["--windows is for --protocol tost"], "wikitext2", b"a b\n", "--windows", 3, "--protocol", "word")
    yield row("windows 0", 2, ["--windows"], "wikitext2", b"a b\n", "--windows", 0)
    yield row("limit -1", 2, ["--limit"], "wikitext103", b"a b\n", "--limit", -1)
    yield row("no tokenizer", 3, ["no tokenizer.json"], "ptb", b"a b\n", model=base.checkpoint)
    yield row("samples nowhere", 4, ["nonexistent"], "ptb", b"a b\n", "--log-samples", "/nonexistent/x.jsonl")
    yield Row("eval ptb: no file named", 2, ["ptb.test.txt", "Mikolov"],
              lambda folder: ["eval", "ptb", "--model", str(base.byte_checkpoint), "--quiet"])


# --- inspect --------------------------------------------------------------------------------------------------------------------------------


def inspection(base):
    def row(name, code, words, *arguments):
        return Row("inspect: " + name, code, words, lambda folder: ["inspect", *map(str, arguments)])

    yield row("nothing given", 2, ["--preset"])
    yield row("two things given", 2, ["not both"], base.run_folder, "--preset", "aot-mssa-base")
    yield row("unknown preset", 2, ["unheard-of"], "--preset", "unheard-of")
    yield row("batch 0", 2, ["--batch"], base.run_folder, "--batch", 0)
    yield row("missing", 3, ["nonexistent"], "/nonexistent")
    yield row("a run with settings", 2, ["only --preset NAME"], base.run_folder, "--layers", 3)
    yield row("layers -1", 2, ["layers"], "--preset", "aot-mssa-base", "--layers", -1)


# --- icl eval -------------------------------------------------------------------------------------------------------------------------------


def regression(base):
    def row(name, code, words, *more):
        return Row("icl eval: " + name, code, words, lambda folder: ["icl", "eval", "--quiet", *map(str, more)])

    yield row("no model", 2, ["--model"])
    yield row("a language model", 3, ["need one for icl"], "--model", base.byte_checkpoint)
    yield row("a file as model", 3, ["train.bin"], "--model", base.bytes / "train.bin")
    for flag, values in {"--prompts": (1, 1 << 40, "x"), "--points": (-1, 1 << 40), "--noise": (-1, "nan", "inf"), "--scale": (0, -1, "nan"),
                         "--sparsity": (0, "x"), "--shift": ("sideways",), "--problem": ("cubic",)}.items():
        for value in values:
            yield row(f"{flag} {value}", 2, [flag.lstrip("-")], "--model", base.byte_checkpoint, flag, value)
