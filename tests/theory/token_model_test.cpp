// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/token_model.h"

#include <cmath>
#include <numbers>

#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/theory/bases.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

/// Mean squares of the sample's tokens, by cluster, as TokenMoments names them.
std::vector<TokenMoments> measured(const TokenSample& sample) {
  std::vector<TokenMoments> out;
  for (int64_t k = 0; k < sample.truth.count(); ++k) {
    const at::Tensor rows = sample.cluster(k), inside = at::matmul(rows, sample.truth.basis(k));
    const double tokens = static_cast<double>(rows.size(0)), signal = inside.square().sum().item<double>();
    const at::Tensor rest = rows - at::matmul(inside, sample.truth.basis(k).t());
    out.push_back({signal / tokens, rest.square().sum().item<double>() / tokens});
  }
  return out;
}

void expect_moments(const TokenModelOptions& options, double tolerance) {
  const auto found = measured(sample_tokens(options, 3)), wanted = expected_moments(options);
  for (size_t k = 0; k < wanted.size(); ++k) {
    EXPECT_NEAR(found[k].signal / wanted[k].signal, 1, tolerance) << "cluster " << k;
    EXPECT_NEAR(found[k].noise / wanted[k].noise, 1, tolerance) << "cluster " << k;
  }
}

TEST(TokenModel, BasesAreJointlyOrthonormal) {
  for (const int64_t width : {21, 40}) {
    const TokenSample sample = sample_tokens({.tokens = 9, .heads = 3, .head_dim = 7, .width = width}, 1);
    const at::Tensor& u = sample.truth.columns;
    EXPECT_EQ(u.sizes(), (at::IntArrayRef{width, 21}));
    EXPECT_LT(test::max_difference(at::matmul(u.t(), u), at::eye(21, at::kDouble)), 1e-13);
    EXPECT_LT(incoherence(sample.truth), 1e-13);
  }
}

TEST(TokenModel, SignalAndNoiseHaveTheirClosedForms) {
  const TokenModelOptions options{.tokens = 4000, .heads = 4, .head_dim = 16, .delta = 0.2};
  for (const TokenMoments& moments : expected_moments(options)) {
    EXPECT_DOUBLE_EQ(moments.snr(), 1 / (0.2 * std::sqrt(3.0)));
    EXPECT_NEAR(moments.signal + moments.noise, 16 * (1 + 3 * 0.04), 1e-12);
  }
  expect_moments(options, 0.03);
}

TEST(TokenModel, DeparturesHaveTheirClosedForms) {
  expect_moments({.tokens = 3999, .heads = 3, .head_dim = 12, .delta = 0.3, .angles = "60,75"}, 0.05);
  expect_moments({.tokens = 3999, .heads = 3, .head_dim = 12, .delta = 0.3, .angles = "60", .between = 0.5}, 0.05);
  expect_moments({.tokens = 3999, .heads = 3, .delta = 0.3, .head_dims = "5,12,30"}, 0.05);
  expect_moments({.tokens = 3999, .heads = 3, .delta = 0.3, .head_dims = "5,12,30", .between = 0.3}, 0.05);
  expect_moments({.tokens = 3999, .heads = 3, .head_dim = 12, .delta = 0.3, .tails = 5}, 0.05);
  expect_moments({.tokens = 3999, .heads = 3, .head_dim = 12, .width = 50, .delta = 0.1, .ambient = 0.5}, 0.05);
  expect_moments({.tokens = 3999, .heads = 3, .head_dim = 12, .delta = 0.3, .cluster_sizes = "500,1500,1999"}, 0.06);
}

TEST(TokenModel, WithoutNoiseTokensLieInTheirSubspaces) {
  const TokenSample sample = sample_tokens({.tokens = 12, .heads = 3, .head_dim = 5, .delta = 0}, 1);
  for (const TokenMoments& moments : measured(sample)) EXPECT_LT(moments.noise, 1e-25 * moments.signal);
  EXPECT_TRUE(std::isinf(expected_moments({.delta = 0})[0].snr()));
}

TEST(TokenModel, SeedsDecideAndNoiseLeavesTheSignal) {
  const TokenModelOptions quiet{.tokens = 12, .heads = 3, .head_dim = 5, .delta = 0};
  TokenModelOptions loud = quiet;
  loud.delta = 0.4;
  const TokenSample a = sample_tokens(quiet, 7), b = sample_tokens(loud, 7), c = sample_tokens(quiet, 8);
  EXPECT_TRUE(a.z.equal(sample_tokens(quiet, 7).z));
  EXPECT_FALSE(a.z.equal(c.z));
  for (int64_t k = 0; k < 3; ++k)
    EXPECT_LT(test::max_difference(at::matmul(a.cluster(k), a.truth.basis(k)), at::matmul(b.cluster(k), b.truth.basis(k))), 1e-13);
}

TEST(TokenModel, SubspacesMeetAtTheGivenAngles) {
  const TokenSample sample = sample_tokens({.tokens = 12, .heads = 3, .head_dim = 4, .angles = "30,80"}, 1);
  EXPECT_LT(orthonormality_error(sample.truth), 1e-13);
  for (const auto& [j, k] : {std::pair{0, 1}, {0, 2}, {1, 2}}) {
    const at::Tensor cosines = at::linalg_svdvals(at::matmul(sample.truth.basis(j).t(), sample.truth.basis(k)));
    const double near = std::cos(std::numbers::pi / 6), far = std::cos(std::numbers::pi * 80 / 180);
    for (int64_t r = 0; r < 4; ++r) EXPECT_NEAR(cosines[r].item<double>(), r < 2 ? near : far, 1e-12);
  }
  EXPECT_NEAR(incoherence(sample.truth), std::cos(std::numbers::pi / 6), 1e-12);
}

TEST(TokenModel, RotatedBasesAreOffByTheAngle) {
  const TokenSample sample = sample_tokens({.tokens = 12, .heads = 3, .head_dim = 4, .bases = BasisSource::rotated, .basis_angle = 25}, 1);
  EXPECT_LT(orthonormality_error(sample.known), 1e-13);
  for (int64_t k = 0; k < 3; ++k) {
    const at::Tensor cosines = at::linalg_svdvals(at::matmul(sample.truth.basis(k).t(), sample.known.basis(k)));
    EXPECT_LT((cosines - std::cos(25 * std::numbers::pi / 180)).abs().max().item<double>(), 1e-12);
  }
}

TEST(TokenModel, BasesAreFoundFromTokensWithAndWithoutLabels) {
  for (const BasisSource source : {BasisSource::labels, BasisSource::clusters}) {
    const TokenSample sample = sample_tokens({.tokens = 300, .heads = 3, .head_dim = 8, .width = 40, .delta = 0.05, .bases = source}, 5);
    EXPECT_EQ(sample.label_agreement, 1);
    for (int64_t k = 0; k < 3; ++k) {
      const double sine =
          std::sqrt(1 - std::pow(at::linalg_svdvals(at::matmul(sample.truth.basis(k).t(), sample.known.basis(k))).min().item<double>(), 2));
      EXPECT_LT(sine, 0.05) << k;
      EXPECT_GT(sine, 1e-6) << "noise turns what is estimated";
    }
  }
}

TEST(TokenModel, MoreDirectionsThanTokensAreCompleted) {
  const at::Tensor basis = principal_basis(test::normal({3, 10}, 1), 6, 2);
  EXPECT_LT(test::max_difference(at::matmul(basis.t(), basis), at::eye(6, at::kDouble)), 1e-13);
  EXPECT_EQ(principal_basis(test::normal({0, 10}, 1), 6, 2).sizes(), (at::IntArrayRef{10, 6}));
}

TEST(TokenModel, RandomSizesAddUp) {
  const TokenSample sample = sample_tokens({.tokens = 100, .heads = 3, .head_dim = 5, .cluster_sizes = "random"}, 1);
  EXPECT_EQ(sample.first_row(3), 100);
  EXPECT_EQ(sample.cluster(2).size(0), sample.cluster_sizes[2]);
}

TEST(TokenModel, HeavyTailsHaveMoreKurtosis) {
  const auto kurtosis = [](double tails) {
    const TokenSample sample = sample_tokens({.tokens = 2000, .heads = 2, .head_dim = 8, .tails = tails}, 1);
    const at::Tensor noise = at::matmul(sample.cluster(0), sample.truth.basis(1));
    return noise.pow(4).mean().item<double>() / std::pow(noise.square().mean().item<double>(), 2);
  };
  EXPECT_NEAR(kurtosis(0), 3, 0.3);
  EXPECT_GT(kurtosis(4.5), 4);
}

TEST(TokenModel, RefusesWhatNoTokensCanBeMadeOf) {
  const auto refused = [](const TokenModelOptions& options, const std::string& word) {
    try {
      (void)shape_of(options);
      ADD_FAILURE() << "accepted, expected: " << word;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused({.heads = 4, .head_dim = 48, .width = 191}, "need D >= K p = 192");
  refused({.tokens = 257}, "not divisible");
  refused({.cluster_sizes = "1,2,3"}, "one number for each of the 4");
  refused({.cluster_sizes = "1,2,3,4"}, "add up to 10");
  refused({.cluster_sizes = "1,x,3,4"}, "'x' is not a number");
  refused({.cluster_sizes = "0,0,0,256"}, "at least 1");
  refused({.angles = "0"}, "--angles");
  refused({.head_dims = "4,4,4,5", .angles = "60"}, "--angles");
  refused({.ambient = 1}, "fill the space");
  refused({.heads = 1, .between = 0.5}, "--between");
  refused({.tails = 2}, "--tails");
  refused({.basis_angle = 3}, "--basis-angle");
  refused({.heads = 1, .bases = BasisSource::rotated}, "no room");
}

}  // namespace
}  // namespace aot
