# SPDX-License-Identifier: Apache-2.0
"""The rows of bench/against_pytorch.py: what ours and the peers are asked to time. The models (a), (a'), (b), (c) are described in docs/bench.md."""

PEERS = ("eager", "sdpa", "compile")
A = {"width": 384, "layers": 6, "heads": 6, "tokens": 256, "vocab": 1000}
B = {"width": 1024, "layers": 24, "heads": 16, "tokens": 1024, "vocab": 50304}
C = {"width": 384, "layers": 12, "heads": 6, "tokens": 197, "vocab": 10}


def attention(name, batch, tokens, heads=6, causal=True, dtype="float32", peers=("eager", "sdpa"), quick=False):
    mask = "causal" if causal else "none"
    ours = {"batch": batch, "tokens": tokens, "heads": heads, "mask": mask, "dtype": dtype}
    theirs = {"batch": batch, "tokens": tokens, "heads": heads, "width": 64 * heads, "dtype": dtype}
    return {"name": name, "what": "attention", "ours": ours, "theirs": theirs, "bidirectional": not causal, "peers": peers, "quick": quick}


def model(name, what, shape, batch, dtype="float32", causal=True, peers=PEERS, quick=False, **more):
    ours = {**shape, "batch": batch, "dtype": dtype}
    theirs = {**shape, "dtype": dtype} if what == "decode" else dict(ours)
    if not causal:
        ours["mask"] = "none"
    return {"name": name, "what": what, "ours": ours, "theirs": theirs, "bidirectional": not causal, "peers": peers, "quick": quick, **more}


def head(name, width, environment=None):
    """2,048 rows; `environment` is that of ours and the peer's."""
    theirs = {"batch": 8, "tokens": 256, "width": width, "vocab": 50304}
    return {"name": name, "what": "head", "ours": {"rows": 2048, "width": width, "vocab": 50304}, "theirs": theirs, "bidirectional": False,
            "peers": ("eager", "compile"), "quick": False, "environment": environment or {}}


def adamw(name, shape):
    return {"name": name, "what": "adamw", "ours": shape, "theirs": shape, "bidirectional": False, "peers": ("eager",), "quick": False}


def own(name, what, ours, other, over):
    """Our program with the flags `ours`, over itself with `other` in their place; None leaves a flag out."""
    return {"name": name, "what": what, "ours": ours, "other": {**ours, **other}, "over": over, "peers": (), "quick": False}


def alone(name, what, **ours):
    """A bench that times LibTorch's way in its own process, in turns with ours."""
    return {"name": name, "what": what, "ours": ours, "over": "LibTorch in one process", "peers": (), "quick": False}


def vision(name, preset, batch, **shape):
    """One training step of a vision preset; `shape` tells the peer what the preset says."""
    switches = [flag for flag, on in {"--bias": shape.pop("bias", False)}.items() if on]
    return {"name": name, "what": "vision-step", "ours": {"preset": preset, "batch": batch}, "theirs": {**shape, "batch": batch}, "bidirectional": False,
            "peers": PEERS, "quick": False, "switches": switches}


# What `aot bench step|decode --compare` times in turns with itself, in one process.
COMPARED = {"libtorch_ratio": "LibTorch's operators, one process", "two_caches_ratio": "two caches", "libtorch_one_cache_float32_ratio": "LibTorch's operators, one cache"}

# What glibc is told so that freed blocks stay in the process. Our program tells it so itself.
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


ROWS = [
    attention("causal, T = 256", 32, 256, quick=True),
    attention("causal, T = 1024", 8, 1024, quick=True),
    attention("causal, T = 4096", 2, 4096, peers=("sdpa",)),
    attention("no mask, T = 197", 16, 197, causal=False),
    attention("no mask, T = 1024", 4, 1024, heads=16, causal=False, peers=("sdpa",)),
    attention("causal, T = 1024, bfloat16", 8, 1024, dtype="bfloat16", peers=("sdpa",)),
    model("step (a), 512 tokens", "step", A, 2, peers=("sdpa",)),
    model("step (a)", "step", A, 8, quick=True, compare=True),
    model("step (a), 4096 tokens", "step", A, 16, peers=("sdpa",)),
    model("step (a')", "step", {**A, "vocab": 50304}, 4),
    model("step (b)", "step", B, 2, peers=("sdpa",)),
    model("step (c), no mask", "step", C, 16, causal=False, quick=True, compare=True),
    model("step (a), bfloat16", "step", A, 8, dtype="bfloat16", peers=("sdpa",)),
    vision("aot-mssa-v-digits", "aot-mssa-v-digits", 128, mixer="mssa", width=128, layers=6, heads=4),
    vision("vit-digits", "vit-digits", 128, mixer="mhsa", block="vit", bias=True, width=64, layers=4, heads=4),
    vision("vit-s", "vit-s", 8, mixer="mhsa", block="vit", bias=True, width=384, layers=12, heads=6, patch=16, channels=3, classes=1000, image_size=224),
    model("decode (a)", "decode", A, 1, peers=("eager", "sdpa"), quick=True, compare=True),
    model("decode (a), T = 128", "decode", {**A, "tokens": 128}, 1, peers=("sdpa",)),
    model("decode (a), bfloat16", "decode", A, 1, dtype="bfloat16", peers=("sdpa",)),
    model("decode (b), T = 1024", "decode", B, 1, peers=("sdpa",)),
    model("decode (b), T = 16384", "decode", {**B, "tokens": 16384}, 1, peers=("sdpa",), compare=True),
    head("head, D = 384", 384),
    head("head, D = 1024", 1024),
    head("head, D = 384, tuned allocator", 384, TUNED),
    head("head, D = 1024, tuned allocator", 1024, TUNED),
    adamw("AdamW (a)", A),
    adamw("AdamW (b)", B),
    alone("scores 8, T = 256", "attention", batch=32, tokens=256, norm=8),
    alone("scores 50, T = 256", "attention", batch=32, tokens=256, norm=50),
    alone("scores 400, all fall back, T = 256", "attention", batch=32, tokens=256, norm=400),
    alone("384 to 384", "linear", inputs=384, outputs=384),
    alone("1024 to 1024", "linear", inputs=1024, outputs=1024),
    alone("384 to 384, bfloat16", "linear", inputs=384, outputs=384, dtype="bfloat16"),
    alone("1024 to 1024, bfloat16", "linear", inputs=1024, outputs=1024, dtype="bfloat16"),
    own("attention, rotary", "attention", {"batch": 32, "tokens": 256, "rotary": "true"}, {"rotary": "false"}, "without"),
    own("attention, bfloat16", "attention", {"batch": 32, "tokens": 256, "dtype": "bfloat16"}, {"dtype": "float32"}, "float32"),
    own("step (a), bfloat16", "step", {**A, "batch": 8, "dtype": "bfloat16"}, {"dtype": "float32"}, "float32"),
    own("step (a), listening and logging", "step", {**A, "batch": 8, "log": "FOLDER"}, {"log": None}, "without"),
    own("step (a), two threads", "step", {**A, "batch": 8, "threads": 2}, {"threads": 1}, "one"),
    own("decode (b), bfloat16", "decode", {**B, "dtype": "bfloat16"}, {"dtype": "float32"}, "float32"),
    own("decode (b), int8", "decode", {**B, "dtype": "int8"}, {"dtype": "float32"}, "float32"),
]
