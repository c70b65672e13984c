# SPDX-License-Identifier: Apache-2.0
"""The paper's tokens and measures."""
import math
import unittest

from support import PackageTest, torch

from aot import theory


class Measures(PackageTest):
    def test_the_papers_tokens_and_their_snr(self):
        sample = theory.sample_tokens(1, tokens=256, heads=4, head_dim=32, delta=0.1)
        self.assertEqual((tuple(sample.z.shape), sample.cluster_sizes, len(sample.bases)), ((256, 128), [64] * 4, 4))
        self.assertLess(theory.incoherence(sample.bases), 1e-12)
        self.assertLess(theory.orthonormality_error(sample.bases), 1e-12)
        for k, row in enumerate(theory.snr(sample.z, sample.bases, sample.cluster_sizes)):
            cluster, basis = sample.z[64 * k : 64 * (k + 1)], sample.bases[k]
            signal = (cluster @ basis).norm()
            noise = (cluster - cluster @ basis @ basis.T).norm()
            self.assertAlmostEqual(row["snr"], float(signal / noise), places=9)
            self.assertAlmostEqual(row["snr"], 1 / (0.1 * math.sqrt(3)), delta=0.5)

    def test_rates_and_ranks_are_their_formulas(self):
        z = torch.randn(40, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        bases = [torch.linalg.qr(torch.randn(12, 3, dtype=torch.float64))[0] for _ in range(2)]

        def rate(x):
            return 0.5 * torch.logdet(torch.eye(x.shape[1]) + x.shape[1] / (40 * 0.01) * x.T @ x)

        self.assertAlmostEqual(theory.coding_rate(z), float(rate(z)), places=8)
        self.assertAlmostEqual(theory.coding_rate(z, bases), float(sum(rate(z @ basis) for basis in bases)), places=8)
        share = torch.linalg.svdvals(z) / torch.linalg.svdvals(z).sum()
        self.assertAlmostEqual(theory.effective_rank(z), float((-(share * share.log()).sum()).exp()), places=6)

    def test_heads_of_a_model(self):
        u = torch.randn(3 * 4, 16)
        bases = theory.head_bases(u, 3)
        for k, basis in enumerate(bases):
            rows = u[4 * k : 4 * (k + 1)].double()
            self.assertLess(float((rows - rows @ basis @ basis.T).abs().max()), 1e-5)
        z = torch.randn(50, 16)
        heads, before, after = theory.head_snr(z, 2 * z, u, 3)
        self.assertTrue(torch.equal(heads, torch.stack([(z.double() @ basis).norm(dim=1) for basis in bases]).argmax(0)))
        for one, two in zip(before, after):
            self.assertAlmostEqual(one["snr"], two["snr"], places=6)
        self.assertTrue(0 < theory.head_overlap(bases)["mean"] <= theory.head_overlap(bases)["largest"] <= 1 + 1e-9)

    def test_the_theorem_is_certified(self):
        found = theory.certify(1, preset="exact")
        self.assertEqual(found["seed"], 1)
        self.assertGreaterEqual(found["exact_layers"], 1)
        self.assertEqual(found["layers"][0]["verdict"], "verified")
        self.assertEqual(len(theory.certify(1, layers=2, tokens=64, heads=2, head_dim=24)["layers"]), 2)

    def test_what_does_not_fit_is_refused(self):
        z = torch.randn(8, 4)
        cases = [
            ("unknown keyword 'delt', did you mean 'delta'", lambda: theory.sample_tokens(1, delt=1)),
            ("bases", lambda: theory.snr(z, [], [])),
            ("one cluster for each", lambda: theory.snr(z, [torch.eye(4)], [7])),
            ("(D, p)", lambda: theory.incoherence([torch.ones(3)])),
            ("eps_squared", lambda: theory.coding_rate(z, eps_squared=0)),
            ("(K P, D)", lambda: theory.head_bases(z, 3)),
        ]
        for words, call in cases:
            with self.subTest(words), self.assertRaises(ValueError) as caught:
                call()
            self.assertIn(words, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
