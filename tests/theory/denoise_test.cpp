// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/denoise.h"

#include <cmath>

#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_slogdet.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/ops/mssa_reference.h"
#include "aot/theory/bases.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

std::vector<LayerRecord> run(const DenoiseOptions& options, uint64_t seed = 1) {
  TokenSample sample = sample_tokens(options.tokens, seed);
  std::vector<LayerRecord> out;
  run_layers(sample, options, [&out](const LayerRecord& record) {
    out.push_back(record);
    return true;
  });
  return out;
}

/// A sample with these rows, all subspaces along the axes.
TokenSample by_hand(const at::Tensor& z, std::vector<int64_t> sizes, std::vector<int64_t> dims) {
  TokenSample sample{.z = z, .cluster_sizes = std::move(sizes)};
  sample.truth = sample.known = {.columns = at::eye(z.size(1), at::kDouble), .dims = std::move(dims)};
  return sample;
}

TEST(Denoise, WhileTheMaskIsExactEveryTokensSignalGrowsAndItsNoiseStays) {
  const DenoiseOptions options{
      .tokens = {.tokens = 128, .heads = 2, .head_dim = 56, .delta = 0.02}, .layer = {.eta = 0.3, .tau = 0.8}, .layers = 4};
  for (const LayerRecord& record : run(options)) {
    ASSERT_TRUE(record.mask->exact);
    EXPECT_TRUE(record.mask->block_diagonal);
    EXPECT_LT(test::max_difference(record.after.signal / record.before.signal, at::full({128}, 1.24, at::kDouble)), 1e-12);
    EXPECT_LT(test::max_difference(record.after.noise, record.before.noise), 1e-12);
    for (const double ratio : record.ratio) EXPECT_NEAR(ratio, 1.24, 1e-12);
  }
}

TEST(Denoise, OneSubspaceHasNoNoise) {
  const std::vector<LayerRecord> layers = run({.tokens = {.tokens = 64, .heads = 1, .head_dim = 48}, .layers = 2});
  for (const LayerRecord& record : layers) {
    EXPECT_TRUE(record.mask->exact);
    EXPECT_EQ(record.mask->off_max, 0);
    EXPECT_TRUE(std::isinf(record.before.clusters[0].snr()));
    EXPECT_NEAR(record.ratio[0], 1.09, 1e-12);
  }
}

TEST(Denoise, WithoutNoiseTheMaskStaysExact) {
  for (const LayerRecord& record : run({.tokens = {.tokens = 64, .heads = 2, .head_dim = 48, .delta = 0}, .layers = 30})) {
    EXPECT_TRUE(record.mask->exact) << record.layer;
    EXPECT_NEAR(record.ratio[0], 1.09, 1e-12);
  }
}

TEST(Denoise, RotationsAndPermutationsChangeNothing) {
  const DenoiseOptions options{
      .tokens = {.tokens = 60, .heads = 3, .head_dim = 6, .delta = 0.2}, .layer = {.phi = Weighting::softmax}, .layers = 3};
  const std::vector<LayerRecord> plain = run(options);

  const at::Tensor rotation = orthonormalized(gaussian({18, 18}, 9));
  TokenSample turned = sample_tokens(options.tokens, 1);
  turned.z = at::matmul(turned.z, rotation);
  turned.truth.columns = at::matmul(rotation.t(), turned.truth.columns);
  turned.known = turned.truth;
  TokenSample shuffled = sample_tokens(options.tokens, 1);  // tokens of one cluster in another order
  shuffled.z.narrow(0, 20, 20).copy_(shuffled.z.narrow(0, 20, 20).flip(0).clone());
  for (TokenSample* sample : {&turned, &shuffled}) {
    size_t layer = 0;
    run_layers(*sample, options, [&](const LayerRecord& record) {
      for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(record.ratio[k], plain[layer].ratio[k], 1e-11);
      EXPECT_NEAR(record.mask->entropy, plain[layer].mask->entropy, 1e-11);
      EXPECT_NEAR(record.spectra->coding_rate, plain[layer].spectra->coding_rate, 1e-9);
      ++layer;
      return true;
    });
  }
}

TEST(Denoise, ConvexFormScalesBothAndNormsSetTheStep) {
  DenoiseOptions options{.tokens = {.tokens = 96, .heads = 2, .head_dim = 64, .delta = 0.02},
                         .layer = {.eta = 0.2, .tau = 0.9, .form = LayerForm::convex},
                         .layers = 2};
  for (const LayerRecord& record : run(options)) {
    ASSERT_TRUE(record.mask->exact);
    for (const double ratio : record.ratio) EXPECT_NEAR(ratio, 1 + 0.2 * 0.9 / 0.8, 1e-12);
    EXPECT_LT(test::max_difference(record.after.noise, 0.8 * record.before.noise), 1e-12);
  }
  EXPECT_DOUBLE_EQ(ideal_gain(options.layer), 1.225);

  options.layer = {.eta = 0.1, .scale = 0.5, .norm = NormKind::rms};
  const LayerRecord first = run(options)[0];
  ASSERT_TRUE(first.mask->exact);
  // RMS norm multiplies a token by sqrt(D) / |z| (up to its epsilon), so its own step is eta tau times that.
  const at::Tensor lengths = (first.before.signal.square() + first.before.noise.square()).sqrt();
  const at::Tensor wanted = first.before.signal * (1 + 0.09 * (128 / (lengths.square() + 128 * 1e-5)).sqrt());
  EXPECT_LT(test::max_difference(first.after.signal, wanted), 1e-10);

  options.layer = {.eta = 0.1, .renormalize = true};
  const LayerRecord kept = run(options)[0];
  EXPECT_LT(test::max_difference((kept.after.signal.square() + kept.after.noise.square()).sqrt(), lengths), 1e-11);
}

TEST(Denoise, ALayerIsThePlainFormulaWithEveryNormAndForm) {
  const int64_t heads = 3, dim = 5, tokens = 21;
  const TokenSample sample = sample_tokens({.tokens = tokens, .heads = heads, .head_dim = dim, .delta = 0.3}, 2);
  const at::Tensor u = sample.known.columns.view({heads * dim, heads, dim}).permute({1, 0, 2});  // (K, D, P)
  const auto plain_norm = [](const at::Tensor& z, NormKind norm) {
    if (norm == NormKind::none) return z;
    const at::Tensor centred = norm == NormKind::layer ? z - z.mean({1}, true) : z;
    return centred / (centred.square().mean({1}, true) + 1e-5).sqrt();
  };
  for (const NormKind norm : {NormKind::none, NormKind::rms, NormKind::layer})
    for (const LayerForm form : {LayerForm::skip, LayerForm::convex})
      for (const Weighting phi : {Weighting::softmax, Weighting::softmax_threshold, Weighting::relu_mean})
        for (const bool renormalize : {false, true}) {
          const LayerOptions layer{
              .phi = phi, .eta = 0.3, .tau = 0.6, .scale = 0.7, .norm = norm, .renormalize = renormalize, .form = form};
          at::Tensor z = sample.z.clone();
          apply_layer_(z, sample.known, layer, false);
          const at::Tensor x = plain_norm(sample.z, norm).unsqueeze(0);
          const at::Tensor update = mssa_reference(x, u, {.causal = false, .scale = 0.7, .phi = phi, .tau = 0.6})[0];
          at::Tensor wanted = (form == LayerForm::convex ? 0.7 : 1.0) * sample.z + 0.3 * update;
          if (renormalize) wanted = wanted * (sample.z.square().sum({1}, true) / wanted.square().sum({1}, true)).sqrt();
          EXPECT_LT(test::max_difference(z, wanted), 1e-12)
              << "norm " << static_cast<int>(norm) << " form " << static_cast<int>(form) << " phi " << static_cast<int>(phi);
        }
}

TEST(Denoise, NamesTheFirstWrongEntry) {
  // Two subspaces along the axes; the last token of cluster 0 reads token 2 in head 1, where it has noise.
  const at::Tensor z = at::zeros({4, 4}, at::kDouble);
  z.index_put_({at::Tensor(at::arange(2)), at::zeros({2}, at::kLong)}, at::tensor({6.0, -6.0}, at::kDouble));
  z[2][2] = 6;
  z[3][2] = -6;
  z[1][2] = 3;  // logits of token 1 in head 1: 9 on itself, 18 on token 2
  const DenoiseOptions options{.layer = {.eta = 0.5, .tau = 0.8}, .layers = 1};
  TokenSample sample = by_hand(z, {2, 2}, {2, 2});
  run_layers(sample, options, [](const LayerRecord& record) {
    EXPECT_FALSE(record.mask->exact);
    EXPECT_FALSE(record.mask->block_diagonal);
    EXPECT_EQ(record.mask->wrong_entries, 1);
    EXPECT_EQ(record.mask->first_wrong->head, 1);
    EXPECT_EQ(record.mask->first_wrong->query, 1);
    EXPECT_EQ(record.mask->first_wrong->key, 2);
    EXPECT_FALSE(record.mask->first_wrong->missing);
    EXPECT_NEAR(record.mask->off_max, record.mask->first_wrong->probability, 1e-15);
    EXPECT_NEAR(record.mask->off_max, 1 / (1 + std::exp(-9.0) + std::exp(-18.0) + std::exp(-36.0)), 1e-12);
    EXPECT_NEAR(record.after.noise[1].item<double>(), 3 + 0.5 * 0.8 * 6, 1e-12);
    return true;
  });
}

TEST(Denoise, AnOwnTokenThatDoesNotPassIsMissing) {
  const at::Tensor z = at::zeros({2, 2}, at::kDouble);
  z[0][0] = 1;
  z[1][1] = 5;
  TokenSample sample = by_hand(z, {1, 1}, {1, 1});
  run_layers(sample, {.layer = {.tau = 0.9}, .layers = 1}, [](const LayerRecord& record) {
    EXPECT_EQ(record.mask->wrong_entries, 1);
    EXPECT_TRUE(record.mask->first_wrong->missing);
    EXPECT_TRUE(record.mask->block_diagonal);
    EXPECT_NEAR(record.mask->own_min, 1 / (1 + std::exp(-1.0)), 1e-12);
    EXPECT_NEAR(record.ratio[0], 1, 1e-12);
    EXPECT_NEAR(record.ratio[1], 1.09, 1e-12);
    return true;
  });
}

TEST(Denoise, StopsWhenAskedAndRefusesOverflow) {
  const DenoiseOptions options{
      .tokens = {.tokens = 8, .heads = 2, .head_dim = 4}, .layer = {.phi = Weighting::identity, .eta = 100}, .layers = 50};
  TokenSample sample = sample_tokens(options.tokens, 1);
  int64_t layers = 0;
  run_layers(sample, options, [&](const LayerRecord&) { return ++layers < 2; });
  EXPECT_EQ(layers, 2);
  EXPECT_THROW(run(options), Error);
}

TEST(Denoise, CountsExactLayersAsTheRecordsDo) {
  DenoiseOptions options{.tokens = {.tokens = 128, .heads = 2, .head_dim = 56, .delta = 0.1}, .layer = {.eta = 0.5}, .layers = 20};
  const std::vector<LayerRecord> layers = run(options, 3);
  int64_t exact = 0;
  while (exact < 20 && layers[static_cast<size_t>(exact)].mask->exact) ++exact;
  EXPECT_GT(exact, 0);
  EXPECT_LT(exact, 20);
  EXPECT_EQ(count_exact_layers(options, 3), exact);
}

TEST(Measures, CodingRateIsALogDeterminantAndRankCountsDirections) {
  const at::Tensor z = test::normal({9, 5}, 1), tall = z.t().contiguous();
  const double direct =
      0.5 * std::get<1>(at::linalg_slogdet(at::eye(5, at::kDouble) + 5 / (9 * 0.01) * at::matmul(z.t(), z))).item<double>();
  EXPECT_NEAR(coding_rate(gram_spectrum(z), 9, 5, 0.01), direct, 1e-10);
  EXPECT_LT(test::max_difference(std::get<0>(gram_spectrum(tall).sort()), std::get<0>(gram_spectrum(z).sort())), 1e-12);
  EXPECT_NEAR(effective_rank(gram_spectrum(at::eye(6, at::kDouble))), 6, 1e-12);
  EXPECT_NEAR(effective_rank(gram_spectrum(at::ones({6, 4}, at::kDouble))), 1, 1e-5);
  EXPECT_EQ(effective_rank(gram_spectrum(at::zeros({6, 4}, at::kDouble))), 0);
}

TEST(Measures, NoiseIsNoDifferenceOfSquares) {
  const at::Tensor z = at::zeros({2, 2}, at::kDouble);
  z[0][0] = 1;
  z[0][1] = 1e-9;
  z[1][1] = 1;
  const TokenMeasures measures = measure_tokens(z, by_hand(z, {1, 1}, {1, 1}));
  EXPECT_EQ(measures.clusters[0].noise, 1e-9);
  EXPECT_DOUBLE_EQ(measures.clusters[0].snr(), 1e9);
  EXPECT_TRUE(measures.clusters[1].noise_free());
  EXPECT_GT(ratio_tolerance(measures.clusters[0]), 1e-6);
  EXPECT_EQ(ratio_tolerance(measures.clusters[1]), 1e-9);
}

}  // namespace
}  // namespace aot
