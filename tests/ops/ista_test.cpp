// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/ista.h"

#include <algorithm>

#include <ATen/ops/eye.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace aot {
namespace {

TEST(Ista, IsItsEquationTokenByToken) {
  const at::Tensor y = test::normal({2, 3, 5}, 1), d = test::normal({5, 5}, 2);
  const at::Tensor z = ista_step(y, d, {.step = 0.3, .threshold = 0.7});
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t t = 0; t < 3; ++t)
      for (int64_t i = 0; i < 5; ++i) {
        double correlation = 0;  // (D^T y - D^T D y)_i = sum_j D_ji (y_j - sum_k D_jk y_k)
        for (int64_t j = 0; j < 5; ++j) {
          double residual = y[b][t][j].item<double>();
          for (int64_t k = 0; k < 5; ++k) residual -= d[j][k].item<double>() * y[b][t][k].item<double>();
          correlation += d[j][i].item<double>() * residual;
        }
        const double wanted = std::max(0.0, y[b][t][i].item<double>() + 0.3 * correlation - 0.3 * 0.7);
        EXPECT_NEAR(z[b][t][i].item<double>(), wanted, 1e-13);
      }
}

TEST(Ista, OfAnOrthonormalDictionaryIsTheShrunkToken) {
  const at::Tensor y = test::normal({4, 6}, 1);
  EXPECT_LT(test::max_difference(ista_step(y, at::eye(6, at::kDouble)), (y - 0.01).clamp_min(0)), 1e-15);
}

TEST(Ista, Differentiates) {
  const at::Tensor y = test::normal({2, 3, 5}, 1).requires_grad_(), d = test::normal({5, 5}, 2).requires_grad_();
  EXPECT_LT(test::gradient_error([&] { return ista_step(y, d); }, {y, d}), 1e-7);
}

TEST(Ista, RefusesADictionaryOfAnotherWidth) {
  EXPECT_THROW(ista_step(test::normal({2, 5}, 1), test::normal({6, 6}, 2)), c10::ValueError);
  EXPECT_THROW(ista_step(test::normal({2, 5}, 1), test::normal({5, 6}, 2)), c10::ValueError);
}

}  // namespace
}  // namespace aot
