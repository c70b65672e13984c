# SPDX-License-Identifier: Apache-2.0
"""Running `aot`, and reading and writing the files of the tests, with nothing but torch."""
import ctypes
import importlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import torch
except ImportError:
    print("no torch in this Python: a LibTorch without it", flush=True)
    os._exit(77)  # ctest counts it as skipped; unittest would catch sys.exit while it looks for tests

AOT = os.environ.get("AOT_COMMAND", "build/release/aot")
NAMES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I64": torch.int64}


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        tensor = tensor.contiguous()
        start = len(data)
        data += ctypes.string_at(tensor.data_ptr(), tensor.nbytes)
        dtype = next(key for key, value in NAMES.items() if value == tensor.dtype)
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    out = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            out[name] = torch.frombuffer(bytearray(content[begin:end]), dtype=NAMES[entry["dtype"]]).reshape(entry["shape"])
    return out


def load_exported(folder):
    """The model of an exported folder, by its own Python files: through transformers, or through a stub of it."""
    folder = pathlib.Path(folder)
    try:
        import transformers
        if not hasattr(transformers, "AutoModelForCausalLM"):
            raise ImportError
        return transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
    except ImportError:
        pass
    stub = str(pathlib.Path(__file__).parent / "stub")
    if stub not in sys.path:
        sys.path.insert(0, stub)
    package = "exported_" + folder.name.replace("-", "_")
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[package] = importlib.util.module_from_spec(spec)
    modeling = importlib.import_module(package + ".modeling_aot")
    settings = json.loads((folder / "config.json").read_text())
    model = modeling.AotForCausalLM(modeling.AotConfig(**settings))
    model.load_state_dict(read_safetensors(folder / "model.safetensors"))
    return model.eval()


class InteropTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="aot-interop-"))
        (cls.folder / "text.txt").write_text("the cat sat on the mat\n" * 60)
        cls.run_aot("data", "prepare", cls.folder / "text.txt", "--tokenizer", "byte", "--out", cls.folder / "text")
        torch.manual_seed(1)
        cls.generator = torch.Generator().manual_seed(1)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @staticmethod
    def run_aot(*arguments, code=0):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AOT_")}
        done = subprocess.run([AOT, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert done.returncode == code, f"aot {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr[-800:]}"
        return done

    def convert(self, *arguments):
        return json.loads(self.run_aot("convert", *arguments, "--verify", "--json").stdout)

    def ours(self, checkpoint, prompt, known):
        """Log-probabilities of what follows `prompt`, by `aot generate`; of the tokens that its tokenizer knows, without padding."""
        if not (checkpoint / "tokenizer.json").exists():
            shutil.copy(self.folder / "text" / "tokenizer.json", checkpoint)
        done = self.run_aot("generate", "--model", checkpoint, "--prompt", prompt, "--tokens", 1, "--logprobs", known, "--seed", 1, "--json", "--threads", 1)
        best = json.loads(done.stdout)["logprobs"][0]["best"]
        out = torch.full((known,), float("nan"), dtype=torch.float64)
        for entry in best:
            out[entry["token"]] = entry["logprob"]
        return out

    def assert_near(self, found, wanted, bound=1e-5):
        """Within `bound` of the largest number wanted."""
        self.assertEqual(found.shape, wanted.shape)
        self.assertLessEqual(float((found - wanted).abs().max() / wanted.abs().max()), bound)

    def assert_same_model(self, checkpoint, logits, vocab, prompt="the cat sat"):
        """`logits` of ids (B, T) -> (B, T, V) by Python."""
        known = min(vocab, 256)
        wanted = logits(torch.tensor([list(prompt.encode())]))[0, -1, :known].double().log_softmax(-1)
        self.assert_near(self.ours(checkpoint, prompt, known), wanted)
