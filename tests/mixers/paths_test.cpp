// SPDX-License-Identifier: Apache-2.0
// With frozen weights and no norm a stack of MSSA layers is a sum over head paths: at every layer a path takes the skip or one head.
#include <string>
#include <vector>

#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>

#include "tests/mixers/parameters.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kHeads = 2, kDim = 4, kWidth = 8;
constexpr double kEta = 0.5;

struct Layer {
  MixerPtr mixer;
  at::Tensor u, w_out;  // (K P, D), (D, K P)

  /// eta W_k z U_k R_k: mixed by head k, into its subspace and back.
  [[nodiscard]] at::Tensor head(int64_t k, const at::Tensor& weights, const at::Tensor& z) const {
    const at::Tensor down = u.narrow(0, k * kDim, kDim), up = w_out.narrow(1, k * kDim, kDim);
    return kEta * at::linear(at::matmul(weights.select(1, k), at::linear(z, down)), up);
  }
};

std::vector<Layer> make_stack(int64_t layers, Output output, bool rotary, at::ScalarType dtype) {
  std::vector<Layer> stack;
  for (int64_t l = 0; l < layers; ++l) {
    const auto seed = static_cast<uint64_t>(10 * l + 1);
    const at::Tensor u = (test::normal({kHeads * kDim, kWidth}, seed) * 0.5).to(dtype);
    const at::Tensor free = (test::normal({kWidth, kHeads * kDim}, seed + 1) * 0.5).to(dtype);
    const MixerOptions options{.width = kWidth, .heads = kHeads, .head_dim = kDim, .context = 16, .output = output, .rotary = rotary};
    stack.push_back({test::mixer_with("mssa", options, {{"u", u}, {"w_out", free}}), u, output == Output::tied ? u.t() : free});
  }
  return stack;
}

/// Sum over all paths from layer `first` on; counts them.
at::Tensor sum_of_paths(const std::vector<Layer>& stack, const std::vector<at::Tensor>& weights, size_t first, const at::Tensor& z,
                        int64_t& paths) {
  if (first == stack.size()) {
    ++paths;
    return z;
  }
  at::Tensor sum = sum_of_paths(stack, weights, first + 1, z, paths);
  for (int64_t k = 0; k < kHeads; ++k) sum = sum + sum_of_paths(stack, weights, first + 1, stack[first].head(k, weights[first], z), paths);
  return sum;
}

TEST(Paths, OfFrozenHeadsAddUpToTheStack) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat})
    for (const Output output : {Output::tied, Output::untied})
      for (const bool rotary : {false, true})
        for (const int64_t layers : {2, 3}) {
          const std::vector<Layer> stack = make_stack(layers, output, rotary, dtype);
          const at::Tensor x = test::normal({2, 7, kWidth}, 99, dtype);
          at::Tensor z = x;
          std::vector<at::Tensor> weights;
          for (const Layer& layer : stack) {
            weights.push_back(layer.mixer->operator_matrix({.x = z}));  // (B, K, T, T)
            z = z + kEta * layer.mixer->forward({.x = z});
          }
          int64_t paths = 0;
          const at::Tensor sum = sum_of_paths(stack, weights, 0, x, paths);
          EXPECT_EQ(paths, layers == 2 ? 9 : 27);
          EXPECT_LT(test::max_difference(sum, z) / z.abs().max().item<double>(), dtype == at::kDouble ? 1e-12 : 1e-5)
              << layers << " layers, tied " << (output == Output::tied) << ", rotary " << rotary;
        }
}

TEST(Paths, ALayerWithFrozenWeightsIsLinear) {
  const std::vector<Layer> stack = make_stack(1, Output::untied, true, at::kDouble);
  const at::Tensor x = test::normal({2, 7, kWidth}, 1), y = test::normal({2, 7, kWidth}, 2);
  const at::Tensor weights = stack[0].mixer->operator_matrix({.x = x});
  Taps taps;
  taps.listen("weights", [&weights](const std::string&, const at::Tensor&) { return weights; });
  const auto frozen = [&](const at::Tensor& z) { return stack[0].mixer->forward({.x = z, .taps = {&taps, ""}}); };
  EXPECT_LT(test::max_difference(frozen(2 * x - 3 * y), 2 * frozen(x) - 3 * frozen(y)), 1e-12);
  EXPECT_LT(test::max_difference(frozen(x), stack[0].mixer->forward({.x = x})), 1e-12);
}

}  // namespace
}  // namespace aot
