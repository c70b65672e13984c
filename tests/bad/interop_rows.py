# SPDX-License-Identifier: Apache-2.0
"""The rows of the bad-input suite for files of other programs: aot convert and inspect --diff."""

import io
import json
import math
import struct
import zipfile

from rows import Row


def all_rows(base):
    return [*pickles(base), *archives(base), *folders(base), *empty_tensors(base), *usage(base)]


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tensor(shape, count, key="0"):
    """torch.save's words for a float32 tensor."""
    integers = [b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", number) for number in numbers) + b"t" for numbers in (shape, [1] * len(shape))]
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + b"".join(integers) + b"\x89ccollections\nOrderedDict\n)RtR"


def archive(body, compression=zipfile.ZIP_STORED, **entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, content in {"data.pkl": b"\x80\2" + body + b".", **entries}.items():
            file.writestr("archive/" + name, content)
    return out.getvalue()


def safetensors(shapes):
    """Float32 zeros of these shapes by name."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + bytes(end)


def convert(folder, content, source="nanogpt"):
    (folder / "ckpt.pt").write_bytes(content)
    return ["convert", "--from", source, str(folder / "ckpt.pt"), str(folder / "out"), "--quiet"]


def pickles(base):
    def row(name, words, body, **entries):
        return Row("pickle: " + name, 3, words, lambda folder: convert(folder, archive(body, **entries)))

    arguments = text("model_args") + b"}"
    yield row("os.system", ["refused: os.system"], b"cos\nsystem\n(" + text("touch owned") + b"tR")
    yield row("posix.system by STACK_GLOBAL", ["refused: posix.system"], text("posix") + text("system") + b"\x93(" + text("touch owned") + b"tR")
    yield row("os.system by INST", ["refused: os.system"], b"(" + text("touch owned") + b"ios\nsystem\n")
    yield row("builtins.eval", ["refused: builtins.eval"], b"cbuiltins\neval\n(" + text("1") + b"tR")
    yield row("builtins.getattr", ["refused: builtins.getattr"], b"cbuiltins\ngetattr\n")
    yield row("subprocess.Popen inside a dictionary", ["refused: subprocess.Popen"], b"}(" + text("model") + b"csubprocess\nPopen\n(" + text("sh") + b"tRu")
    yield row("torch.load", ["refused: torch.load"], b"ctorch\nload\n")
    yield row("nested reduce", ["refused: calls what is no name"], b"ccollections\nOrderedDict\n)R)R")
    yield row("object with a state", ["refused: sets the state"], b"](" + text("x") + b"K\1db")
    yield row("new object", ["refused: opcode"], b"ccollections\nOrderedDict\n)\x81")
    yield row("extension code", ["refused: opcode"], b"\x82\1")
    yield row("name with an escape", ["refused: x\\x1b[2J.y"], b"cx\x1b[2J\ny\n")
    yield row("storage of 10 GB", ["needs 2500000000 numbers", "holds 4 bytes"], b"}(" + text("model") + b"}(" + text("w") + tensor([2_500_000_000], 2_500_000_000) + b"u" + arguments + b"u",
              **{"data/0": bytes(4)})
    yield row("10 GB out of one number", ["reaches past its storage of 1 "], tensor([2_500_000_000], 1), **{"data/0": bytes(4)})
    yield row("text of 4 GB", ["the pickle is cut"], b"X\xff\xff\xff\xff")
    yield row("memo of 4 billion", ["memo number"], b"Nr\xff\xff\xff\xff")
    yield row("100 000 deep", ["nested deeper"], b"(" * 100_000)
    yield row("100 000 lists in lists", ["nested deeper"], b"]" + b"\x85" * 100_000)
    yield row("million of lists", ["more than 300000 lists"], b"]" * 1_000_000)
    yield row("2^1000 values by sharing", ["nested deeper"], b"]q\0" + b"h\0h\0\x86q\0" * 1100)
    yield row("dictionary in itself", ["key 'model_args'"], b"}q\0(" + text("model") + b"h\0u")
    yield row("storage missing", ["storage '7'", "missing"], b"}(" + text("model") + b"}(" + text("w") + tensor([1], 1, "7") + b"u" + arguments + b"u")
    yield row("key that is a path", ["missing from the archive"], tensor([1], 1, "../../../etc/passwd"))
    yield row("no checkpoint", ["not a checkpoint of nanoGPT"], b"}(" + text("state") + b"K\1u")
    yield row("no width", ["key 'model_args.n_head'"], b"}(" + text("model") + b"}(" + text("w") + tensor([1], 1) + b"u" + arguments + b"u", **{"data/0": bytes(4)})


def archives(base):
    def row(name, words, content, source="nanogpt"):
        return Row("archive: " + name, 3, words, lambda folder: convert(folder, content, source))

    good = archive(b"}(" + text("model") + b"}(" + text("w") + tensor([1], 1) + b"uu", **{"data/0": bytes(4)})
    yield row("empty", ["empty file"], b"")
    yield row("bare pickle", ["looks like a Python pickle"], b"\x80\2cos\nsystem\n.")
    yield row("text", ["not a ZIP archive"], b"hello")
    yield row("cut", ["its directory is missing"], good[:-1])
    yield row("compressed", ["compressed"], archive(b"N" * 1000 + b"}", zipfile.ZIP_DEFLATED))
    yield row("no pickle", ["holds no data.pkl"], good.replace(b"data.pkl", b"data.xyz"))
    yield row("bit flipped in the pickle", ["checksum mismatch"], good.replace(b"FloatStorage", b"BoolStorage2"))
    yield row("entry past the end", ["past the end"], good[:-22] + good[-22:-6] + b"\xff\xff\xff\x00" + good[-2:])
    yield row("CRATE without tensors", ["holds no tensors"], archive(b"}"), "crate")
    yield row("TransformerLens without its embedding", ["embed.W_E", "missing tensor"], good, "transformerlens")


def folders(base):
    def row(name, words, config, files=()):
        def make(folder):
            source = folder / "source"
            source.mkdir()
            (source / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
            for file, content in files:
                (source / file).write_text(content)
            return ["convert", "--from", "gpt2", str(source), str(folder / "out"), "--quiet"]

        return Row("gpt2 folder: " + name, 3, words, make)

    gpt2 = {"model_type": "gpt2", "n_head": 2}
    yield row("another model", ["need 'gpt2'"], {"model_type": "llama"})
    yield row("config deep", ["nested deeper"], "[" * 100_000)
    yield row("no weights", ["model.safetensors", "no such file"], gpt2)
    yield row("heads as text", ["n_head"], {**gpt2, "n_head": "2"}, [("model.safetensors", "\x02\0\0\0\0\0\0\0{}")])
    yield row("heads 0", ["n_head"], {**gpt2, "n_head": 0}, [("model.safetensors", "\x02\0\0\0\0\0\0\0{}")])
    yield row("no tensors", ["wte.weight", "missing tensor"], gpt2, [("model.safetensors", "\x02\0\0\0\0\0\0\0{}")])
    yield row("table without rows", ["wte.weight", "needs 2 dimensions of at least 1"], gpt2, [("model.safetensors", safetensors({"wte.weight": [0, 8]}).decode())])
    yield row("shard outside", ["not a plain file name"], gpt2, [("model.safetensors.index.json", json.dumps({"weight_map": {"a": "../x.safetensors"}}))])
    yield row("shard missing", ["no such file"], gpt2, [("model.safetensors.index.json", json.dumps({"weight_map": {"a": "x.safetensors"}}))])
    yield row("index without files", ["names no file"], gpt2, [("model.safetensors.index.json", "{}")])


def empty_tensors(base):
    def row(tensor, rank, source, shapes, *more):
        def make(folder):
            (folder / "weights.safetensors").write_bytes(safetensors(shapes))
            return ["convert", "--from", source, str(folder / "weights.safetensors"), str(folder / "out"), "--quiet", *more]

        return Row(f"{source}: {tensor} of {shapes[tensor]}", 3, [f"tensor '{tensor}'", f"needs {rank} dimensions of at least 1"], make)

    lens = {"embed.W_E": [4, 2], "pos_embed.W_pos": [3, 2], "blocks.0.attn.W_Q": [1, 2, 2]}
    crate = {"to_patch_embedding.2.weight": [8, 12], "pos_embedding": [1, 5, 8], "mlp_head.1.weight": [3, 8], "transformer.layers.0.0.fn.qkv.weight": [8, 8]}
    for tensor, shape in [("blocks.0.attn.W_Q", [0, 2, 0]), ("blocks.0.attn.W_Q", [1, 2, 0]), ("blocks.0.attn.W_Q", [2, 2]), ("embed.W_E", [4, 0]), ("pos_embed.W_pos", [0, 2])]:
        yield row(tensor, len(lens[tensor]), "transformerlens", {**lens, tensor: shape})
    for tensor, shape in [("pos_embedding", [1, 0, 8]), ("transformer.layers.0.0.fn.qkv.weight", [0, 8]), ("to_patch_embedding.2.weight", [8, 0]), ("mlp_head.1.weight", [0, 8])]:
        yield row(tensor, len(crate[tensor]), "crate", {**crate, tensor: shape}, "--heads", "2")


def usage(base):
    def row(name, code, words, *arguments):
        return Row("convert: " + name, code, words, lambda folder: [str(a).replace("FOLDER", str(folder)) for a in arguments])

    run = base.byte_checkpoint
    yield row("nothing given", 2, ["SOURCE"], "convert")
    yield row("unknown source", 2, ["--from"], "convert", "--from", "llama", "a", "b")
    yield row("int8 for another program", 2, ["int8 is for --to aot"], "convert", run, "FOLDER/out", "--to", "nanogpt", "--dtype", "int8")
    yield row("target there", 2, ["never overwritten"], "convert", run, "FOLDER")
    yield row("source missing", 3, ["no such file"], "convert", "--from", "nanogpt", "/nonexistent/x.pt", "FOLDER/out")
    yield row("of another kind", 2, ["--to nanogpt"], "convert", run, "--to", "nanogpt", "FOLDER/out")
    yield row("accepted: ours", 0, [], "convert", run, "FOLDER/out", "--verify")
    yield row("accepted: for transformers", 0, [], "convert", run, "FOLDER/out", "--to", "hf", "--dtype", "bfloat16", "--verify")
    yield row("diff of one", 2, ["two checkpoints"], "inspect", "--diff", run)
    yield row("diff with nothing", 3, ["no such file"], "inspect", "--diff", run, "/nonexistent")
    yield row("accepted: diff with itself", 0, [], "inspect", "--diff", run, run)
    yield row("diff of different runs", 1, ["tensors differ"], "inspect", "--diff", run, base.checkpoint)
