// SPDX-License-Identifier: Apache-2.0
// One layer of the paper on its own token model: 256 noisy tokens near 4 subspaces of dimension 48. Prints the signal-to-noise ratio of
// each cluster before and after z <- z + eta MSSA(z), with softmax in place of the theorem's threshold.
//
// The threshold would give exactly 1 + eta. With softmax the own head still reads the token itself, but each of the other heads averages:
// over tokens a_j, weights proportional to exp(e . a_j) give back about 1 / K of the token's noise e. So the ratio grows by (1 + eta) / (1
// + eta / K) to first order in the noise.
//
//   build/release/examples/example_denoise
//   -> about 11.5 before; each ratio grows by 1.07, within 1 % of 1.1 / 1.025 = 1.073
#include <cmath>
#include <cstdio>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/TensorOperators.h>

#include "aot/core/random.h"
#include "aot/ops/mssa_reference.h"

int main() {
  const int64_t clusters = 4, dim = 48, tokens = 256, each = tokens / clusters, width = clusters * dim;
  const double noise = 0.05, eta = 0.1;
  at::Generator generator = aot::make_generator(1);
  const auto gaussian = [&](at::IntArrayRef shape) { return at::empty(shape, at::kDouble).normal_(0, 1, generator); };

  // Jointly orthonormal bases: the columns of a random rotation, shared out among the clusters.
  const at::Tensor rotation = std::get<0>(at::linalg_qr(gaussian({width, width})));
  const at::Tensor u = rotation.view({width, clusters, dim}).permute({1, 0, 2}).contiguous();  // (K, D, P)
  std::vector<at::Tensor> parts;
  for (int64_t k = 0; k < clusters; ++k) {
    at::Tensor coordinates = noise * gaussian({each, width});
    coordinates.narrow(1, k * dim, dim).copy_(gaussian({each, dim}));
    parts.push_back(coordinates.matmul(rotation.t()));
  }
  const at::Tensor z = at::cat(parts).unsqueeze(0);  // (1, T, D)
  const at::Tensor after = z + eta * aot::mssa_reference(z, u, {.causal = false});

  const auto ratio = [&](const at::Tensor& x, int64_t k) {
    const at::Tensor rows = x[0].narrow(0, k * each, each);
    const double signal = rows.matmul(u[k]).norm().item<double>(), all = rows.norm().item<double>();
    return signal / std::sqrt(all * all - signal * signal);
  };
  const double expected = (1 + eta) / (1 + eta / static_cast<double>(clusters));
  bool grew = true;
  for (int64_t k = 0; k < clusters; ++k) {
    const double before = ratio(z, k), now = ratio(after, k);
    std::printf("cluster %lld  SNR %.2f -> %.2f  (x %.3f)\n", static_cast<long long>(k), before, now, now / before);
    grew = grew && std::abs(now / before / expected - 1) < 0.01;
  }
  return grew ? 0 : 1;
}
