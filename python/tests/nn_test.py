# SPDX-License-Identifier: Apache-2.0
"""Modules: what they compute, how they sit in a model, under compilers and autocast."""
import copy
import io
import unittest

from support import PackageTest, torch

from aot import nn, ops
from aot.layers_aot import TokenStatistics

MIXERS = {
    "mssa": lambda **more: nn.MSSA(32, 2, **more),
    "mssa-tied": lambda **more: nn.MSSA(32, 4, head_dim=16, rotary=True, output="tied", bias=True, **more),
    "mssa-gated": lambda **more: nn.MSSA(32, 2, causal=False, gate="silu", rotary=500.0, **more),
    "mhsa": lambda **more: nn.MHSA(32, 2, rotary=True, bias=True, gate="silu", **more),
    "tssa": lambda **more: nn.TSSA(32, 2, context=20, bias=True, **more),
    "tssa-bidirectional": lambda **more: nn.TSSA(32, 2, causal=False, **more),
}


class Block(torch.nn.Module):
    """What stands around attention in most models."""

    def __init__(self, width, attention):
        super().__init__()
        self.norm, self.attention, self.mlp_norm = torch.nn.LayerNorm(width), attention, torch.nn.LayerNorm(width)
        self.mlp = torch.nn.Sequential(torch.nn.Linear(width, 4 * width), torch.nn.GELU(), torch.nn.Linear(4 * width, width))

    def forward(self, z):
        z = z + self.attention(self.norm(z))
        return z + self.mlp(self.mlp_norm(z))


class Model(torch.nn.Module):
    def __init__(self, width, blocks, attention):
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block(width, attention()) for _ in range(blocks))

    def forward(self, z):
        for block in self.blocks:
            z = block(z)
        return z


class Modules(PackageTest):
    def setUp(self):
        torch.manual_seed(1)
        torch._dynamo.reset()

    def test_shapes_masks_and_names(self):
        z, real = torch.randn(2, 9, 32), torch.ones(2, 9, dtype=torch.bool)
        real[1, :4] = False
        for name, make in MIXERS.items():
            with self.subTest(name):
                mixer = make()
                whole, masked = mixer(z), mixer(z, real)
                self.assertEqual(whole.shape, z.shape)
                self.assert_near(masked[0], whole[0], 1e-6)
                disturbed = z.clone()
                disturbed[1, :4] = 7
                self.assert_near(mixer(disturbed, real)[1, 4:], masked[1, 4:], 1e-5)
        shapes = {"mssa-gated": {"u": (32, 32), "w_gate": (32, 32), "w_out": (32, 32)}, "mssa-tied": {"u": (64, 32), "b_out": (32,)}}
        for name, wanted in shapes.items():
            self.assertEqual({name: tuple(parameter.shape) for name, parameter in MIXERS[name]().named_parameters()}, wanted)

    def test_a_causal_mixer_does_not_see_what_follows(self):
        z = torch.randn(1, 12, 32)
        for name in ("mssa", "mssa-tied", "mhsa", "tssa"):
            mixer = MIXERS[name]()
            self.assert_near(mixer(z[:, :7]), mixer(z)[:, :7], 1e-5)

    def test_mssa_is_the_operator(self):
        mixer, z = MIXERS["mssa"](), torch.randn(2, 9, 32)
        self.assertTrue(torch.equal(mixer(z), ops.mssa(z, mixer.u, mixer.w_out, heads=2)))

    def test_tssa_is_the_plain_module(self):
        mixer = MIXERS["tssa"]()
        torch.nn.init.normal_(mixer.head_bias)
        config = type("Config", (), {"width": 32, "heads": 2, "head_dim": 16, "context": 20, "gate": "none", "output": "untied", "bias": True})
        plain = TokenStatistics(config)
        plain.load_state_dict(mixer.state_dict())
        z = torch.randn(2, 9, 32)
        self.assert_near(mixer(z), plain(z, None, None))

    def test_they_are_ordinary_modules(self):
        z = torch.randn(2, 9, 32)
        for name, make in MIXERS.items():
            with self.subTest(name):
                mixer = make()
                saved = io.BytesIO()
                torch.save(mixer, saved)
                saved.seek(0)
                for other in (copy.deepcopy(mixer), torch.load(saved, weights_only=False)):
                    self.assertTrue(torch.equal(other(z), mixer(z)))
                self.assertEqual(make(dtype=torch.float64)(z.double()).dtype, torch.float64)
                self.assertEqual(make(device="meta")(z.to("meta")).shape, z.shape)
                with torch.autocast("cpu", torch.bfloat16):
                    mixer(z).float().square().mean().backward()
                self.assertTrue(all(p.grad is not None and p.grad.dtype == torch.float32 for p in mixer.parameters()))

    def test_a_compiled_model_is_one_graph_and_learns(self):
        z = torch.randn(2, 9, 32)
        target = torch.randn(2, 9, 32)
        for name, make in MIXERS.items():
            with self.subTest(name):
                torch._dynamo.reset()
                eager = Model(32, 2, make)
                compiled = torch.compile(copy.deepcopy(eager), fullgraph=True, backend="aot_eager")
                losses = []
                for model in (eager, compiled):
                    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
                    for _ in range(5):
                        loss = (model(z) - target).square().mean()
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                    losses.append(loss.item())
                self.assertLess(losses[0], 1.9)
                self.assertAlmostEqual(losses[0], losses[1], places=4)

    def test_inductor_compiles_forward_and_backward(self):
        model, z = Model(32, 1, MIXERS["mssa-tied"]), torch.randn(2, 9, 32)
        compiled = torch.compile(model, fullgraph=True)
        wanted = torch.autograd.grad(model(z).square().sum(), list(model.parameters()))
        for found, gradient in zip(torch.autograd.grad(compiled(z).square().sum(), list(model.parameters())), wanted):
            self.assert_near(found, gradient, 1e-4)

    def test_settings_that_cannot_be_are_refused(self):
        cases = [
            ("no multiple of 3 heads", lambda: nn.MSSA(32, 3)),
            ("'tied' or 'untied'", lambda: nn.MSSA(32, 2, output="both")),
            ("even head dimension", lambda: nn.MSSA(32, 2, head_dim=5, rotary=True)),
            ("context", lambda: nn.TSSA(32, 2)),
        ]
        for words, make in cases:
            with self.subTest(words), self.assertRaises(ValueError) as caught:
                make()
            self.assertIn(words, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
