// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include <ATen/ops/randn.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/random.h"
#include "aot/ops/attention.h"
#include "aot/ops/mssa_kernel.h"
#include "aot/ops/own_kernels.h"

namespace aot {
namespace {

TEST(OwnKernels, AreOffInThisThreadOnlyAndOnlyWhileTheGuardLives) {
  const LibTorchOnly outer;
  {
    const LibTorchOnly inner;
    EXPECT_FALSE(own_kernels());
  }
  EXPECT_FALSE(own_kernels());
  bool other = false;
  std::thread([&] { other = own_kernels(); }).join();
  EXPECT_TRUE(other);
}

TEST(OwnKernels, SwitchedOffTheSameNumbersComeWithoutAnyHeadInThem) {
  const at::Tensor a = at::randn({2, 65, 2, 16}, make_generator(1), at::kFloat).transpose(1, 2).requires_grad_();
  const at::Tensor ours = subspace_attention(a, nullptr, {.causal = true}, {});
  const MssaCounts before = mssa_counts();
  at::Tensor theirs;
  {
    const LibTorchOnly only;
    theirs = subspace_attention(a, nullptr, {.causal = true}, {});
  }
  EXPECT_EQ(mssa_counts().heads, before.heads);
  EXPECT_LT((ours - theirs).abs().max().item<double>(), 1e-6);
  const at::Tensor gradient = torch::autograd::grad({ours.sum()}, {a})[0], other = torch::autograd::grad({theirs.sum()}, {a})[0];
  EXPECT_LT((gradient - other).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace aot
