// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mssa.h"

#include <cmath>

#include <ATen/ops/argsort.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/ops/mhsa.h"
#include "aot/ops/mssa_reference.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kHeads = 3, kDim = 4, kWidth = 10;  // P != D / K, D no power of two

constexpr Weighting kWeightings[] = {Weighting::softmax, Weighting::softmax_threshold, Weighting::relu, Weighting::relu_mean,
                                     Weighting::identity};

/// u (K P, D) of unit size, and the practical path at the paper's scale unless another is given.
struct Case {
  at::Tensor x, u, w_out;
  bool causal = true, tied = true;
  double scale = 1;

  [[nodiscard]] at::Tensor update() const {
    return mssa(x, u, tied ? HeadOutput{.u = u} : HeadOutput{.w_out = w_out},
                {.heads = kHeads, .attention = {.causal = causal, .scale = scale}});
  }
  [[nodiscard]] std::vector<at::Tensor> leaves() const {
    return tied ? std::vector<at::Tensor>{x, u} : std::vector<at::Tensor>{x, u, w_out};
  }
};

Case make_case(int64_t tokens, bool causal, bool tied, at::ScalarType dtype = at::kDouble, double size = 1) {
  Case c{.x = (test::normal({2, tokens, kWidth}, 1) * size).to(dtype).requires_grad_(),
         .u = (test::normal({kHeads * kDim, kWidth}, 2) * 0.3).to(dtype).requires_grad_(),
         .w_out = (test::normal({kWidth, kHeads * kDim}, 3) * 0.3).to(dtype).requires_grad_(),
         .causal = causal,
         .tied = tied};
  return c;
}

TEST(Mssa, IsThePapersFormAtAwkwardLengths) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat})
    for (const bool causal : {true, false})
      for (const int64_t tokens : {1, 7, 63, 65}) {
        const Case c = make_case(tokens, causal, true, dtype);
        const at::Tensor reference = mssa_reference(c.x, subspaces(c.u, kHeads), {.causal = causal});
        EXPECT_LT(test::max_difference(c.update(), reference), test::tolerance(dtype))
            << dtype << " T = " << tokens << " causal " << causal;
        const at::Tensor g = test::normal(c.x.sizes(), 4, dtype);
        const auto fused = test::gradients(c.update(), g, c.leaves()), plain = test::gradients(reference, g, c.leaves());
        for (size_t i = 0; i < fused.size(); ++i)
          EXPECT_LT(test::max_difference(fused[i], plain[i]), 20 * test::tolerance(dtype)) << "gradient " << i << ", T = " << tokens;
      }
}

TEST(Mssa, HoldsForExtremeNorms) {
  for (const double size : {1.0, 10.0, 100.0}) {
    const Case c = make_case(63, true, true, at::kFloat, size), exact = make_case(63, true, true, at::kDouble, size);
    const at::Tensor reference = mssa_reference(exact.x, subspaces(exact.u, kHeads), {});
    EXPECT_LT(test::max_difference(c.update() / size, reference / size), 1e-3) << "size " << size;
    for (const at::Tensor& gradient : test::gradients(c.update(), test::normal(c.x.sizes(), 4), c.leaves()))
      EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << "size " << size;
  }
}

TEST(Mssa, HandDerivedBackwardEqualsAutogradAndThePracticalPath) {
  for (const Weighting phi : kWeightings)
    for (const bool causal : {true, false})
      for (const bool tied : {true, false}) {
        const Case c = make_case(7, causal, tied);
        const MssaReferenceOptions options{.causal = causal, .scale = 0.7, .phi = phi};
        const at::Tensor bases = subspaces(c.u, kHeads), g = test::normal(c.x.sizes(), 5);
        const at::Tensor r = c.w_out.t().view({kHeads, kDim, kWidth});  // R_k (P, D)
        const MssaGradients by_hand = mssa_backward_reference(g, c.x.detach(), bases.detach(), tied ? at::Tensor() : r.detach(), options);
        const at::Tensor u_by_hand = by_hand.u.transpose(1, 2).reshape_as(c.u);
        if (tied) {
          const auto plain = test::gradients(mssa_reference(c.x, bases, options), g, {c.x, c.u});
          EXPECT_LT(test::max_difference(by_hand.z, plain[0]), 1e-10);
          EXPECT_LT(test::max_difference(u_by_hand, plain[1]), 1e-10);
        }
        if (phi != Weighting::softmax) continue;  // the practical path is softmax only
        Case practical = c;
        practical.scale = options.scale;
        const auto fused = test::gradients(practical.update(), g, practical.leaves());
        EXPECT_LT(test::max_difference(by_hand.z, fused[0]), 1e-10) << "causal " << causal << " tied " << tied;
        EXPECT_LT(test::max_difference(u_by_hand, fused[1]), 1e-10);
        if (!tied) {
          EXPECT_LT(test::max_difference(by_hand.w_out.reshape({kHeads * kDim, kWidth}).t(), fused[2]), 1e-10);
        }
      }
}

TEST(Mssa, HandDerivedBackwardEqualsFiniteDifferences) {
  constexpr double kStep = 1e-5;
  for (const Weighting phi : kWeightings)
    for (const bool causal : {true, false}) {
      const MssaReferenceOptions options{.causal = causal, .scale = 0.7, .phi = phi};
      at::Tensor z = test::normal({1, 5, 6}, 1) * 0.5, u = test::normal({2, 6, 3}, 2) * 0.5;
      const at::Tensor g = test::normal({1, 5, 6}, 3);
      const MssaGradients by_hand = mssa_backward_reference(g, z, u, {}, options);
      const auto check = [&](at::Tensor& input, const at::Tensor& gradient) {
        const at::Tensor flat = input.view({-1});
        for (int64_t i = 0; i < flat.numel(); ++i) {
          at::Tensor place = flat[i];
          const double before = place.item<double>();
          const auto value = [&](double at) {
            place.fill_(at);
            return (mssa_reference(z, u, options) * g).sum().item<double>();
          };
          const double slope = (value(before + kStep) - value(before - kStep)) / (2 * kStep);
          place.fill_(before);
          ASSERT_NEAR(slope, gradient.reshape({-1})[i].item<double>(), 1e-8);
        }
      };
      check(z, by_hand.z);
      check(u, by_hand.u);
    }
}

TEST(Mssa, PracticalGradientsEqualFiniteDifferencesWithEveryOption) {
  const RotaryTable rotary(5, 4);
  const at::Tensor x = test::normal({2, 5, 6}, 1).requires_grad_(), u = test::normal({12, 6}, 2).mul_(0.4).requires_grad_(),
                   w_out = test::normal({6, 12}, 3).mul_(0.4).requires_grad_(), b_out = test::normal({6}, 4).requires_grad_(),
                   w_gate = test::normal({12, 6}, 5).mul_(0.4).requires_grad_();
  at::Tensor key_mask = at::eye(2, 5, at::kBool).logical_not();
  for (const bool causal : {true, false})
    for (const at::Tensor& mask : {at::Tensor(), key_mask}) {
      const auto f = [&] {
        return mssa(x, u, {.w_out = w_out, .b_out = b_out, .w_gate = w_gate},
                    {.heads = 3, .attention = {.causal = causal, .key_mask = mask}, .rotary = &rotary});
      };
      EXPECT_LT(test::gradient_error(f, {x, u, w_out, b_out, w_gate}), 1e-8) << "causal " << causal << " mask " << mask.defined();
    }
}

TEST(Mssa, TiedGradientIsTheUntiedOneSummedOverBothRoles) {
  Case tied = make_case(7, true, true), untied = make_case(7, true, false);
  untied.w_out = untied.u.detach().t().clone().requires_grad_();
  const at::Tensor g = test::normal(tied.x.sizes(), 4);
  const auto both = test::gradients(tied.update(), g, tied.leaves()), apart = test::gradients(untied.update(), g, untied.leaves());
  EXPECT_LT(test::max_difference(both[1], apart[1] + apart[2].t()), 1e-12);
}

TEST(Mssa, TakesStridedTokens) {
  Case c = make_case(7, true, true);
  const at::Tensor expected = c.update();
  c.x = c.x.detach().transpose(0, 2).contiguous().transpose(0, 2);
  ASSERT_FALSE(c.x.is_contiguous());
  EXPECT_LT(test::max_difference(c.update(), expected), 1e-12);
}

TEST(Mssa, InBfloat16IsAtMostTwiceAsFarFromFloat32AsThePlainForm) {
  for (const int64_t tokens : {7, 65}) {
    const Case half = make_case(tokens, true, true, at::kBFloat16);
    Case exact = half;
    exact.x = half.x.detach().to(at::kFloat);
    exact.u = half.u.detach().to(at::kFloat);
    const at::Tensor truth = exact.update();
    const at::Tensor a = mssa_projections(half.x, half.u, kHeads);
    const at::Tensor plain = heads_to_update(join_heads(attention_reference(a, a, a, {.scale = 1})), half.x, {.u = half.u});
    const double fused_error = test::max_difference(half.update(), truth), plain_error = test::max_difference(plain, truth);
    EXPECT_LE(fused_error, 2 * plain_error) << "T = " << tokens;
    EXPECT_LT(fused_error, test::tolerance(at::kBFloat16) * truth.abs().max().item<double>());
  }
}

TEST(Mssa, IsEquivariantToPermutationsAndOdd) {
  const Case c = make_case(9, false, true);
  const at::Tensor order = test::normal({9}, 7).argsort();
  Case permuted = c;
  permuted.x = c.x.index_select(1, order);
  EXPECT_LT(test::max_difference(permuted.update(), c.update().index_select(1, order)), 1e-12);
  Case negative = make_case(9, true, false);
  const at::Tensor positive = negative.update();
  negative.x = -negative.x.detach();
  EXPECT_LT(test::max_difference(negative.update(), -positive), 1e-12);
}

TEST(Mssa, WithOrthonormalBasesAndIdentityWeightsReturnsItsInput) {
  const at::Tensor u = std::get<0>(at::linalg_qr(test::normal({12, 12}, 1)));
  const at::Tensor x = test::normal({2, 5, 12}, 2);
  Taps taps;
  taps.listen("weights", [](const std::string&, const at::Tensor& w) { return at::eye(5, w.options()).expand_as(w); });
  const at::Tensor y = mssa(x, u, {.u = u}, {.heads = 3, .taps = {&taps, ""}});
  EXPECT_LT(test::max_difference(y, x), 1e-12);
}

TEST(Mssa, BidirectionalWeightsAreReversibleAndHaveANonNegativeSpectrum) {
  Taps taps;
  at::Tensor scores, weights;
  taps.listen("scores", [&](const std::string&, const at::Tensor& s) { return scores = s; });
  taps.listen("weights", [&](const std::string&, const at::Tensor& w) { return weights = w; });
  const Case c = make_case(7, false, true);
  mssa(c.x, c.u, {.u = c.u}, {.heads = kHeads, .attention = {.causal = false}, .taps = {&taps, ""}});
  EXPECT_LT(test::max_difference(weights.sum(-1), at::ones_like(weights.sum(-1))), 1e-12);
  const at::Tensor flow = scores.exp().sum(-1, true) * weights;  // pi_i W_ij
  EXPECT_LT(test::max_difference(flow, flow.transpose(-1, -2)), 1e-10);
  const at::Tensor root = scores.exp().sum(-1).sqrt();  // D^1/2 W D^-1/2 is symmetric with W's spectrum
  const at::Tensor spectrum = at::linalg_eigvalsh(root.unsqueeze(-1) * weights / root.unsqueeze(-2));
  EXPECT_GT(spectrum.min().item<double>(), -1e-12);
  EXPECT_LT(spectrum.max().item<double>(), 1 + 1e-12);
}

TEST(Mssa, TheFutureHasNoGradientAndTheFirstRowReadsItself) {
  const Case c = make_case(9, true, true);
  const at::Tensor g = at::zeros_like(c.x);
  g.select(1, 4).fill_(1);
  const at::Tensor gradient = test::gradients(c.update(), g, {c.x})[0];
  EXPECT_EQ(gradient.narrow(1, 5, 4).abs().max().item<double>(), 0);
  EXPECT_GT(gradient.narrow(1, 0, 5).abs().max().item<double>(), 0);
  const at::Tensor first = c.x.narrow(1, 0, 1);
  EXPECT_LT(test::max_difference(c.update().narrow(1, 0, 1), at::matmul(at::linear(first, c.u), c.u)), 1e-12);
}

TEST(Mssa, WithFrozenWeightsTwoLayersAreTheSumOverHeadPaths) {
  constexpr double kStep = 0.4;
  const at::Tensor u[] = {test::normal({kHeads * kDim, kWidth}, 2) * 0.3, test::normal({kHeads * kDim, kWidth}, 3) * 0.3};
  for (const bool causal : {true, false}) {
    std::vector<at::Tensor> weights;  // of each layer, (B, K, T, T)
    const auto run = [&](at::Tensor z, const Taps::Listener& listener) {
      Taps taps;
      taps.listen("weights", listener);
      for (const at::Tensor& one : u)
        z = z + kStep * mssa(z, one, {.u = one}, {.heads = kHeads, .attention = {.causal = causal, .scale = 1}, .taps = {&taps, ""}});
      return z;
    };
    const auto through = [&](size_t layer, int64_t head, const at::Tensor& z) {
      const at::Tensor basis = subspaces(u[layer], kHeads)[head];
      return kStep * at::matmul(weights[layer].select(1, head), at::matmul(at::matmul(z, basis), basis.t()));
    };
    const auto sum_over_paths = [&](const at::Tensor& x) {  // none, one or both of the layers change the token
      at::Tensor sum = x;
      for (int64_t k = 0; k < kHeads; ++k) {
        const at::Tensor first = through(0, k, x);
        sum = sum + first + through(1, k, x);
        for (int64_t j = 0; j < kHeads; ++j) sum = sum + through(1, j, first);
      }
      return sum;
    };
    const at::Tensor x = test::normal({2, 9, kWidth}, 1), other = test::normal({2, 9, kWidth}, 4);
    const at::Tensor y = run(x, [&](const std::string&, const at::Tensor& w) {
      weights.push_back(w);
      return w;
    });
    ASSERT_EQ(weights.size(), 2u);
    EXPECT_LT(test::max_difference(y, sum_over_paths(x)), 1e-10) << "causal " << causal;
    size_t layer = 0;
    const at::Tensor frozen = run(other, [&](const std::string&, const at::Tensor&) { return weights[layer++]; });
    EXPECT_LT(test::max_difference(frozen, sum_over_paths(other)), 1e-10) << "causal " << causal;
  }
}

TEST(Mssa, TapsSeeTheSameAsTheFusedPathComputes) {
  const Case c = make_case(9, true, true);
  Taps taps;
  std::vector<std::string> heard;
  taps.listen("layer.*", [&heard](const std::string& name, const at::Tensor& value) {
    heard.push_back(name);
    return value;
  });
  const at::Tensor y = mssa(c.x, c.u, {.u = c.u}, {.heads = kHeads, .attention = {.scale = 1}, .taps = {&taps, "layer."}});
  EXPECT_EQ(heard, (std::vector<std::string>{"layer.projections", "layer.scores", "layer.weights", "layer.heads"}));
  EXPECT_LT(test::max_difference(y, c.update()), 1e-12);
}

TEST(Mssa, RefusesWhatDoesNotFit) {
  const at::Tensor x = test::normal({1, 3, 10}, 1);
  EXPECT_THROW(mssa(x[0], test::normal({12, 10}, 1), {}, {.heads = 3}), c10::ValueError);
  EXPECT_THROW(mssa(x, test::normal({12, 9}, 1), {}, {.heads = 3}), c10::ValueError);
  EXPECT_THROW(mssa(x, test::normal({13, 10}, 1), {}, {.heads = 3}), c10::ValueError);
}

TEST(Mhsa, WithOneTiedMatrixIsMssa) {
  for (const bool causal : {true, false}) {
    const Case c = make_case(65, causal, true, at::kFloat);
    const at::Tensor w_qkv = at::cat({c.u, c.u, c.u});
    const MhsaOptions options{.heads = kHeads, .attention = {.causal = causal, .scale = 1}};
    const at::Tensor update = c.update();
    EXPECT_LT(test::max_difference(mhsa(c.x, w_qkv, {}, {.w_out = c.u.t()}, options), update), 1e-6 * update.abs().max().item<double>());
  }
}

}  // namespace
}  // namespace aot
