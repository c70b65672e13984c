// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/embedding.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/gradients.h"
#include "aot/core/random.h"
#include "aot/ops/linear.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

at::Tensor leaf(at::IntArrayRef shape, uint64_t seed) {
  const at::Tensor out = test::normal(shape, seed, at::kFloat).requires_grad_();
  out.mutable_grad() = at::zeros(shape, at::kFloat);
  return out;
}

TEST(Embedding, AddsItsGradientInPlaceAsLibTorchsDoes) {
  const int threads = at::get_num_threads();
  at::Tensor bits;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor table = leaf({11, 70}, 1), ids = at::randint(0, 9, {3, 65}, make_generator(2), at::kLong);
    const at::Tensor weights = test::normal({3, 65, 70}, 3, at::kFloat);
    const void* buffer = table.grad().const_data_ptr();
    {
      const GradientsInPlace in_place;
      for (int pass = 0; pass < 2; ++pass) (embedding_rows(table, ids) * weights).sum().backward();
    }
    const at::Tensor exact = table.detach().to(at::kDouble).requires_grad_();
    const at::Tensor want = torch::autograd::grad({(at::embedding(exact, ids) * weights).sum()}, {exact})[0] * 2;
    EXPECT_LT(test::max_difference(table.grad(), want), 1e-4);
    EXPECT_EQ(table.grad().const_data_ptr(), buffer);
    if (bits.defined())
      EXPECT_TRUE(table.grad().equal(bits)) << count << " threads";
    else
      bits = table.grad();
  }
  at::set_num_threads(threads);
}

TEST(Embedding, GivesItsGradientToAutogradOutsideAndWhereAHookWantsIt) {
  const at::Tensor table = leaf({5, 8}, 1), ids = at::randint(0, 5, {7}, make_generator(2), at::kLong);
  EXPECT_TRUE(torch::autograd::grad({embedding_rows(table, ids).sum()}, {table})[0].defined());
  int seen = 0;
  table.register_hook([&seen](const at::Tensor&) { ++seen; });
  const GradientsInPlace in_place;
  embedding_rows(table, ids).sum().backward();
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(table.grad().sum().item<double>(), 7 * 8);
}

TEST(Embedding, RefusesIdsOutsideTheTable) {
  const at::Tensor table = leaf({5, 8}, 1);
  const GradientsInPlace in_place;
  EXPECT_THROW(embedding_rows(table, at::zeros({2}, at::kLong) + 5), c10::Error);
  EXPECT_THROW(embedding_rows(table, at::zeros({2}, at::kFloat)), c10::ValueError);
}

TEST(LinearLayer, AddsItsWeightsGradientInPlaceWithTheSameBits) {
  const at::Tensor x = test::normal({64, 48}, 1, at::kFloat).requires_grad_(), weights = test::normal({64, 40}, 2, at::kFloat);
  const at::Tensor apart = leaf({40, 48}, 3), in = leaf({40, 48}, 3);
  const void* buffer = in.grad().const_data_ptr();
  (linear_layer(x, apart) * weights).sum().backward();
  const at::Tensor dx = x.grad().clone();
  x.mutable_grad().zero_();
  const GradientsInPlace in_place;
  (linear_layer(x, in) * weights).sum().backward();
  EXPECT_TRUE(in.grad().equal(apart.grad()));
  EXPECT_TRUE(x.grad().equal(dx));
  EXPECT_EQ(in.grad().const_data_ptr(), buffer);
}

}  // namespace
}  // namespace aot
