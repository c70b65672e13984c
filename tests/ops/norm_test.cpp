// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/norm.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace aot {
namespace {

TEST(Norm, IsItsFormulaWithTheNamedEpsilon) {
  const at::Tensor weight = test::normal({10}, 2), bias = test::normal({10}, 3);
  for (const double size : {1e-3, 1.0, 1e3}) {  // at 1e-3 the epsilon counts
    const at::Tensor z = test::normal({2, 3, 10}, 1) * size, centred = z - z.mean(-1, true);
    const at::Tensor layer = centred / (centred.square().mean(-1, true) + kNormEpsilon).sqrt() * weight;
    EXPECT_LT(test::max_difference(layer_norm(z, weight), layer), 1e-12) << size;
    EXPECT_LT(test::max_difference(layer_norm(z, weight, bias), layer + bias), 1e-12) << size;
    EXPECT_LT(test::max_difference(rms_norm(z, weight), z / (z.square().mean(-1, true) + kNormEpsilon).sqrt() * weight), 1e-12) << size;
  }
}

TEST(Norm, GradientsEqualFiniteDifferences) {
  const at::Tensor z = test::normal({2, 3, 10}, 1).requires_grad_(), weight = test::normal({10}, 2).requires_grad_(),
                   bias = test::normal({10}, 3).requires_grad_();
  EXPECT_LT(test::gradient_error([&] { return layer_norm(z, weight, bias); }, {z, weight, bias}), 1e-8);
  EXPECT_LT(test::gradient_error([&] { return rms_norm(z, weight); }, {z, weight}), 1e-8);
}

}  // namespace
}  // namespace aot
