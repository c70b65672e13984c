# SPDX-License-Identifier: Apache-2.0
"""torch.ops.aot.* and aot.ops against PyTorch's own operators."""
import unittest
import warnings

from support import PackageTest, heads, torch

from aot import ops
from torch.nn import functional as F

SHAPES = [(2, 3, 1, 16), (2, 2, 7, 64), (1, 4, 65, 40), (3, 1, 130, 128)]  # served by the kernels
OTHERS = [(2, 2, 9, 12), (1, 2, 33, 136)]


def pass_of(function, a, seed=2):
    """Result and gradient."""
    a = a.detach().requires_grad_()
    out = function(a)
    return out.detach(), torch.autograd.grad(out, a, heads(*a.shape, dtype=a.dtype, seed=seed))[0]


def padding(batch, tokens):
    """Sequence 0 whole, the others padded on the left and at the end."""
    real = torch.ones(batch, tokens, dtype=torch.bool)
    real[1:, : (tokens + 2) // 3] = False
    real[1:, -1] = False
    return real


def masked(a, causal, real):
    visible = real[:, None, None, :].expand(-1, 1, a.shape[2], -1)
    if causal:
        visible = visible & torch.ones(a.shape[2], a.shape[2], dtype=torch.bool).tril()
    blind = ~visible.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(a, a, a, attn_mask=visible | blind).masked_fill(blind, 0)


def turned(x, base, offset=0):
    half = x.shape[-1] // 2
    angles = torch.arange(offset, offset + x.shape[-2], dtype=torch.float64)[:, None] * base ** (-torch.arange(half, dtype=torch.float64) / half)
    a, b = x.double().split(half, -1)
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1).to(x.dtype)


def sdpa(qk, v=None, causal=True):
    return F.scaled_dot_product_attention(qk, qk, qk if v is None else v, is_causal=causal)


class Attention(PackageTest):
    def assert_same_pass(self, ours, theirs, a, bound=1e-5):
        for found, wanted in zip(pass_of(ours, a), pass_of(theirs, a)):
            self.assert_near(found, wanted, bound)

    def test_it_is_pytorchs_with_one_operand(self):
        for shape in SHAPES + OTHERS:
            for causal in (True, False):
                for a in (heads(*shape), heads(*shape).contiguous(), heads(*shape).double()):
                    with self.subTest(shape=shape, causal=causal, dtype=a.dtype, strides=a.stride()):
                        self.assert_same_pass(lambda x: ops.attention(x, causal), lambda x: sdpa(x, causal=causal), a)

    def test_half_types_err_no_more_than_pytorchs(self):
        for causal in (True, False):
            a = heads(2, 3, 65, 64, torch.bfloat16)
            exact, theirs = (pass_of(lambda x: sdpa(x, causal=causal), x) for x in (a.double(), a))
            ours = pass_of(lambda x: ops.attention(x, causal), a)
            for truth, found, other in zip(exact, ours, theirs):
                self.assertLessEqual(float((found - truth).abs().max()), 2 * float((other - truth).abs().max()))

    def test_tokens_outside_the_mask_are_not_read_and_blind_rows_give_0(self):
        for shape in [(3, 2, 17, 32), (2, 2, 9, 12)]:
            for causal in (True, False):
                real = padding(shape[0], shape[2])
                self.assert_same_pass(lambda x: ops.attention(x, causal, real), lambda x: masked(x, causal, real), heads(*shape))
        self.assertEqual(float(ops.attention(heads(3, 2, 17, 32), True, padding(3, 17))[1, :, 0].abs().max()), 0)

    def test_rotary_positions_turn_queries_and_keys_alone(self):
        for shape in [(2, 2, 33, 32), (2, 2, 9, 12)]:
            for base in (10000.0, 500):
                a = heads(*shape)
                self.assert_same_pass(lambda x: ops.attention(x, rotary=base), lambda x: sdpa(turned(x, base), x), a)
                self.assert_near(ops.attention(a, rotary=base, offset=1000), ops.attention(a, rotary=base), 1e-4)  # only differences count

    def test_the_result_is_laid_out_by_token_and_takes_no_copy_of_its_operand(self):
        a = heads(2, 3, 33, 16)
        self.assertTrue(ops.attention(a).transpose(1, 2).is_contiguous())
        self.assertTrue(pass_of(ops.attention, a)[1].transpose(1, 2).is_contiguous())

    def test_numbers_that_are_not_finite_go_the_plain_way(self):
        a = heads(2, 2, 9, 16).clone()
        a[0, 1, 3, 2] = float("nan")
        out, gradient = pass_of(ops.attention, a)
        future = torch.ones(9, 9, dtype=torch.bool).triu(1)
        wanted, wanted_gradient = pass_of(lambda x: (x @ x.mT / 4).masked_fill(future, -float("inf")).softmax(-1) @ x, a)
        self.assertTrue(torch.equal(out.isnan(), wanted.isnan()) and torch.equal(gradient.isnan(), wanted_gradient.isnan()))
        self.assertTrue(out.transpose(1, 2).is_contiguous())

    def test_it_is_differentiable_twice(self):
        def twice(function, a):
            a = a.detach().requires_grad_()
            gradient = torch.autograd.grad(function(a).square().sum(), a, create_graph=True)[0]
            return torch.autograd.grad(gradient.square().sum(), a)[0]

        a, real = heads(2, 2, 9, 16), padding(2, 9)
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            self.assert_near(twice(lambda x: ops.attention(x, True, real), a), twice(lambda x: masked(x, True, real), a.double()), 1e-4)

    def test_autocast_runs_it_in_its_type(self):
        a = heads(2, 2, 17, 32).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = ops.attention(a)
            self.assertEqual(out.dtype, torch.bfloat16)
            self.assertEqual(ops.mssa(torch.randn(2, 5, 16), torch.randn(2, 16, 8)).dtype, torch.bfloat16)
        self.assertEqual(torch.autograd.grad(out.float().sum(), a)[0].dtype, torch.float32)

    def test_other_devices_and_transforms_see_pytorchs_operators(self):
        self.assertEqual(ops.attention(torch.empty(2, 3, 5, 16, device="meta"), rotary=1e4).shape, (2, 3, 5, 16))
        a = heads(3, 2, 9, 16)
        wanted = pass_of(sdpa, a)
        cotangent = heads(*a.shape, seed=2)
        self.assert_near(torch.func.grad(lambda x: (ops.attention(x) * cotangent).sum())(a), wanted[1])
        self.assert_near(torch.vmap(lambda x: ops.attention(x[None])[0])(a), wanted[0])

    def test_what_does_not_fit_is_refused(self):
        one, mask = torch.ones(1, 1, 2, 16), torch.ones(2, 5, dtype=torch.bool)
        z, square = torch.ones(1, 2, 8), torch.ones(8, 8)
        cases = [
            ("must be (B, K, T, P)", lambda: ops.attention(torch.ones(2, 3, 4))),
            ("floating point", lambda: ops.attention(one.long())),
            ("key_mask must be (B, T) bool = (2, 4)", lambda: ops.attention(torch.ones(2, 3, 4, 16), key_mask=mask)),
            ("even head dimension", lambda: ops.attention(torch.ones(1, 1, 2, 5), rotary=1e4)),
            ("offset", lambda: ops.attention(one, offset=-1)),
            ("u must be (K, D, P)", lambda: ops.mssa(z, square)),
            ("does not hold 3 heads", lambda: ops.mssa(z, square, heads=3)),
            ("w_qkv must be (3 K P, D)", lambda: ops.mhsa(z, square, square, 2)),
            ("bias must be (K, context)", lambda: ops.tssa(torch.ones(1, 2, 3, 4), torch.ones(2))),
        ]
        for words, call in cases:
            with self.subTest(words), self.assertRaises(ValueError) as caught:
                call()
            self.assertIn(words, str(caught.exception))


class Layers(PackageTest):
    def test_mssa_is_its_equation(self):
        z, u, w_out = torch.randn(2, 9, 24), torch.randn(3, 24, 16) / 5, torch.randn(24, 48) / 7
        a = torch.einsum("btd,kdp->bktp", z, u)
        out = sdpa(a)
        self.assert_near(ops.mssa(z, u), torch.einsum("bktp,kdp->btd", out, u))  # tied
        self.assert_near(ops.mssa(z, u, w_out), out.transpose(1, 2).flatten(2) @ w_out.T)
        rows = u.transpose(1, 2).flatten(0, 1)  # as modules hold them
        self.assert_near(ops.mssa(z, rows, w_out, heads=3), ops.mssa(z, u, w_out))

    def test_mhsa_with_one_projection_for_all_is_mssa(self):
        z, u, w_out = torch.randn(2, 9, 24), torch.randn(48, 24) / 5, torch.randn(24, 48) / 7
        self.assert_near(ops.mhsa(z, torch.cat([u, u, u]), w_out, 3, rotary=1e4), ops.mssa(z, u, w_out, heads=3, rotary=1e4))

    def test_tssa_is_its_equation(self):
        w, temperature = torch.randn(2, 3, 7, 5), torch.rand(3)
        share = w.square() / w.square().sum(2, keepdim=True)
        pi = (share.sum(-1) * temperature[:, None]).softmax(1)
        moment = (w.square() * pi[..., None]).sum(2, True) / (pi.sum(-1)[..., None, None] + 1e-8)
        self.assert_near(ops.tssa(w, temperature, causal=False), -(w * pi[..., None]) / (1 + moment))


class Compilers(PackageTest):
    def setUp(self):
        torch._dynamo.reset()
        warnings.simplefilter("ignore")

    def test_opcheck_finds_nothing(self):
        real = padding(2, 9)
        for a in (heads(2, 3, 9, 16), heads(2, 3, 9, 12), heads(2, 3, 9, 16, torch.bfloat16)):
            for more in ({}, {"causal": False, "rotary": 1e4}, {"key_mask": real, "offset": 3, "rotary": 1e4}):
                torch.library.opcheck(torch.ops.aot.attention.default, (a.requires_grad_(),), more)
        z = torch.randn(2, 9, 24, requires_grad=True)
        u, w_out, w_qkv = (torch.randn(*shape, requires_grad=True) for shape in ((48, 24), (24, 48), (144, 24)))
        torch.library.opcheck(torch.ops.aot.mssa.default, (z, u, w_out), {"heads": 3, "w_gate": torch.randn(48, 24), "b_out": torch.randn(24)})
        torch.library.opcheck(torch.ops.aot.mssa.default, (z, torch.randn(3, 24, 16, requires_grad=True)), {"rotary": 1e4})
        torch.library.opcheck(torch.ops.aot.mhsa.default, (z, w_qkv, w_out, 3), {"rotary": 1e4, "key_mask": real})
        w, temperature = heads(2, 3, 9, 12).requires_grad_(), torch.ones(3)
        torch.library.opcheck(torch.ops.aot.tssa.default, (w, temperature, torch.zeros(3, 12)), {"key_mask": real})
        torch.library.opcheck(torch.ops.aot.tssa.default, (w, temperature), {"causal": False})

    def test_opcheck_finds_nothing_below(self):
        a = heads(2, 3, 9, 16)
        checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
        for setting in ((True, None, None, 0), (False, padding(2, 9), 1e4, 5)):
            torch.library.opcheck(torch.ops.aot._attention_forward.default, (a, *setting), test_utils=checks)
            out, statistics = torch.ops.aot._attention_forward(a, *setting)
            d_out = heads(2, 3, 9, 16, seed=3)
            torch.library.opcheck(torch.ops.aot._attention_backward.default, (d_out, a, out, statistics, *setting), test_utils=checks)

    def test_a_graph_is_one_piece_at_every_length(self):
        real = {tokens: padding(2, tokens) for tokens in (9, 17, 33)}
        for more in ({}, {"rotary": 1e4}):
            torch._dynamo.reset()
            whole = torch.compile(lambda x, mask: ops.attention(x, key_mask=mask, **more).sin(), fullgraph=True, dynamic=True, backend="aot_eager")
            for tokens, mask in real.items():
                a = heads(2, 3, tokens, 16)
                compiled, eager = pass_of(lambda x: whole(x, mask), a), pass_of(lambda x: ops.attention(x, key_mask=mask, **more).sin(), a)
                for found, wanted in zip(compiled, eager):
                    self.assert_near(found, wanted, 1e-6)

    def test_it_is_exported(self):
        class Layer(torch.nn.Module):
            def forward(self, a):
                return ops.attention(a, rotary=1e4)

        a = heads(2, 3, 9, 16)
        self.assert_near(torch.export.export(Layer(), (a,)).module()(a), ops.attention(a, rotary=1e4), 1e-6)


if __name__ == "__main__":
    unittest.main()
