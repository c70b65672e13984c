// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mssa_streamed.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr Weighting kWeightings[] = {Weighting::softmax, Weighting::softmax_threshold, Weighting::relu, Weighting::relu_mean,
                                     Weighting::identity};

/// The update sum_k O_k U_k^T by the paper's form, for bases u (D, P) each; heads of unequal width.
at::Tensor papers_update(const at::Tensor& z, const std::vector<at::Tensor>& u, const MssaStreamedOptions& o) {
  at::Tensor sum = at::zeros(z.sizes(), z.options());
  for (const at::Tensor& basis : u)
    sum += mssa_reference(z.unsqueeze(0), basis.unsqueeze(0), {.causal = false, .scale = o.scale, .phi = o.phi, .tau = o.tau})[0];
  return sum;
}

std::vector<int64_t> widths(const std::vector<at::Tensor>& u) {
  std::vector<int64_t> out;
  for (const at::Tensor& basis : u) out.push_back(basis.size(1));
  return out;
}

at::Tensor streamed_update(const at::Tensor& z, const std::vector<at::Tensor>& u, const MssaStreamedOptions& o) {
  const at::Tensor columns = at::cat(u, 1);
  return at::matmul(mssa_heads_streamed(at::matmul(z, columns), widths(u), o).output, columns.t());
}

TEST(MssaStreamed, IsThePapersFormForEveryPhi) {
  const std::vector<at::Tensor> u = {test::normal({10, 4}, 2) * 0.4, test::normal({10, 7}, 3) * 0.4, test::normal({10, 1}, 4) * 0.4};
  for (const Weighting phi : kWeightings)
    for (const int64_t tokens : {1, 7, 65, 257, 600})
      for (const double tau : {0.2, 0.6}) {
        const at::Tensor z = test::normal({tokens, 10}, 1);
        const MssaStreamedOptions options{.scale = 0.8, .phi = phi, .tau = tau, .statistics = tau > 0.5};
        const double size = std::max(1.0, papers_update(z, u, options).abs().max().item<double>());
        EXPECT_LT(test::max_difference(streamed_update(z, u, options), papers_update(z, u, options)), 1e-12 * size)
            << "phi " << static_cast<int>(phi) << " T = " << tokens << " tau " << tau;
      }
}

TEST(MssaStreamed, HoldsForNormsBeyondTheSymmetricForm) {
  const std::vector<at::Tensor> u = {test::normal({10, 4}, 2), test::normal({10, 6}, 3)};
  const at::Tensor z = test::normal({300, 10}, 1) * 30;  // scores of thousands
  for (const Weighting phi : {Weighting::softmax, Weighting::softmax_threshold}) {
    const MssaStreamedOptions options{.phi = phi, .tau = 0.7, .statistics = true};
    EXPECT_LT(test::max_difference(streamed_update(z, u, options), papers_update(z, u, options)), 1e-9);
  }
}

TEST(MssaStreamed, TellsWhatTheSoftmaxLookedLike) {
  for (const double size : {0.5, 1.0, 30.0})
    for (const int64_t tokens : {2, 300}) {
      const at::Tensor a = test::normal({tokens, 5}, 1) * size;
      const SoftmaxRows rows = mssa_heads_streamed(a, {5}, {.phi = Weighting::softmax_threshold, .tau = 0.6, .statistics = true}).rows[0];
      const at::Tensor w = at::matmul(a, a.t()).softmax(1);
      EXPECT_LT(test::max_difference(rows.own, w.diagonal()), 1e-10);
      at::Tensor others = w.clone();
      others.diagonal().fill_(0);
      const auto [largest, where] = others.max(1);
      EXPECT_LT(test::max_difference(rows.other, largest), 1e-10);
      EXPECT_TRUE(rows.other_at.equal(where.masked_fill(largest <= 0.6, -1)));
      EXPECT_LT(test::max_difference(rows.entropy, -(w * (w.clamp_min(1e-300)).log()).sum(1)), 1e-8);
    }
}

TEST(MssaStreamed, OneTokenReadsItself) {
  const at::Tensor a = test::normal({1, 3}, 1);
  const StreamedHeads heads = mssa_heads_streamed(a, {3}, {.statistics = true});
  EXPECT_TRUE(heads.output.equal(a));
  EXPECT_EQ(heads.rows[0].own.item<double>(), 1);
  EXPECT_EQ(heads.rows[0].other.item<double>(), 0);
}

TEST(MssaStreamed, ScaleZeroIsEachHeadsOwnRoot) {
  const at::Tensor a = test::normal({9, 13}, 1);
  const StreamedHeads both = mssa_heads_streamed(a, {4, 9}, {.scale = 0});
  for (const auto& [first, width, scale] : {std::tuple{0, 4, 0.5}, std::tuple{4, 9, 1.0 / 3}}) {
    const at::Tensor head = mssa_heads_streamed(a.narrow(1, first, width), {width}, {.scale = scale}).output;
    EXPECT_LT(test::max_difference(both.output.narrow(1, first, width), head), 1e-14);
  }
}

TEST(MssaStreamed, RefusesWhatDoesNotFit) {
  EXPECT_THROW(mssa_heads_streamed(test::normal({3, 5}, 1), {2, 2}, {}), c10::ValueError);
  EXPECT_THROW(mssa_heads_streamed(test::normal({3, 4}, 1), {2, 2}, {.scale = -1}), c10::ValueError);
}

}  // namespace
}  // namespace aot
