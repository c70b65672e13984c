// SPDX-License-Identifier: Apache-2.0
#include "aot/data/regression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "aot/data/regression_shift.h"
#include "tests/support/files.h"

namespace aot {
namespace {

struct Drawn {
  std::vector<float> x, y;
};

Drawn drawn(const ProblemOptions& options, const PromptSize& size, uint64_t seed, uint64_t first, int64_t count) {
  Drawn out{std::vector<float>(static_cast<size_t>(count * size.points * size.dims)),
            std::vector<float>(static_cast<size_t>(count * size.points))};
  draw_prompts(options, size, seed, first, count, out.x.data(), out.y.data());
  return out;
}

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Row j of prompt p, as the numbers of a model.
std::span<const float> row(const std::vector<float>& x, const Prompts& of, int64_t p, int64_t j) {
  return {x.data() + (p * of.points + j) * of.dims, static_cast<size_t>(of.dims)};
}

double dot(std::span<const float> a, std::span<const float> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

TEST(Regression, APromptIsAFunctionOfSeedAndIndexAlone) {
  const ProblemOptions options{.problem = Problem::sparse_linear, .sparsity = 2, .noise = 0.5};
  const PromptSize size{.points = 7, .dims = 5, .active = 5};
  const Drawn whole = drawn(options, size, 9, 0, 6);
  for (int64_t first = 0; first < 6; ++first) {  // a run that goes on at prompt `first`
    const Drawn rest = drawn(options, size, 9, static_cast<uint64_t>(first), 6 - first);
    EXPECT_TRUE(std::equal(rest.x.begin(), rest.x.end(), whole.x.begin() + first * 7 * 5));
    EXPECT_TRUE(std::equal(rest.y.begin(), rest.y.end(), whole.y.begin() + first * 7));
  }
  std::set<float> firsts;
  for (size_t p = 0; p < 6; ++p) firsts.insert(whole.x[p * 35]);
  EXPECT_EQ(firsts.size(), 6u);
  EXPECT_NE(drawn(options, size, 10, 0, 6).x, whole.x);
}

TEST(Regression, LongerPromptsBeginLikeShorterOnesAndNoiseChangesOnlyY) {
  Prompt shorter, longer, noisy;
  draw_prompt({}, {.points = 3, .dims = 4, .active = 4}, 1, 5, shorter);
  draw_prompt({}, {.points = 8, .dims = 4, .active = 4}, 1, 5, longer);
  draw_prompt({.noise = 2}, {.points = 8, .dims = 4, .active = 4}, 1, 5, noisy);
  EXPECT_EQ(shorter.w, longer.w);
  EXPECT_TRUE(std::equal(shorter.x.begin(), shorter.x.end(), longer.x.begin()));
  EXPECT_EQ(noisy.x, longer.x);
  EXPECT_EQ(noisy.w, longer.w);
  EXPECT_NE(noisy.noise, longer.noise);
}

TEST(Regression, YIsWTimesXInFloat64RoundedOnce) {
  const PromptSize size{.points = 9, .dims = 6, .active = 6};
  const Drawn numbers = drawn({.noise = 0.25}, size, 3, 2, 1);
  Prompt prompt;
  draw_prompt({.noise = 0.25}, size, 3, 2, prompt);
  for (int64_t j = 0; j < 9; ++j) {
    EXPECT_EQ(numbers.y[static_cast<size_t>(j)], static_cast<float>(dot(prompt.w, prompt.row(j)) + prompt.noise[static_cast<size_t>(j)]));
    EXPECT_EQ(numbers.x[static_cast<size_t>(j * 6)], static_cast<float>(prompt.row(j)[0]));
  }
}

TEST(Regression, WAndXAreStandardNormalAndNoiseHasItsDeviation) {
  constexpr int kPrompts = 4000;
  double x = 0, xx = 0, ww = 0, w01 = 0, ee = 0, yy = 0;
  Prompt prompt;
  for (uint64_t p = 0; p < kPrompts; ++p) {
    draw_prompt({.noise = 0.5}, {.points = 2, .dims = 3, .active = 3}, 4, p, prompt);
    for (const double number : prompt.x) x += number, xx += number * number;
    for (const double number : prompt.noise) ee += number * number;
    ww += dot(prompt.w, prompt.w);
    w01 += prompt.w[0] * prompt.w[1];
    yy += std::pow(prompt.value(prompt.row(0)), 2);
  }
  const double error = 4 / std::sqrt(kPrompts);  // four standard errors of a mean over prompts
  EXPECT_NEAR(x / (6 * kPrompts), 0, error / std::sqrt(6));
  EXPECT_NEAR(xx / (6 * kPrompts), 1, error * std::sqrt(2. / 6));
  EXPECT_NEAR(ww / kPrompts, 3, error * std::sqrt(6));
  EXPECT_NEAR(w01 / kPrompts, 0, error);
  EXPECT_NEAR(ee / (2 * kPrompts), 0.25, 0.25 * error);
  EXPECT_NEAR(yy / kPrompts, error_scale({}, 3), error * std::sqrt(36));  // var (w.x)^2 = 3 d (d + 2) - d^2
}

TEST(Regression, SparseFunctionsUseEverySetOfCoordinatesAmongThoseInUse) {
  const ProblemOptions options{.problem = Problem::sparse_linear, .sparsity = 2};
  std::map<std::set<size_t>, int> supports;
  Prompt prompt;
  for (uint64_t p = 0; p < 6000; ++p) {
    draw_prompt(options, {.points = 1, .dims = 7, .active = 4}, 1, p, prompt);
    std::set<size_t> support;
    for (size_t k = 0; k < 7; ++k)
      if (prompt.w[k] != 0) support.insert(k);
    ++supports[support];
  }
  EXPECT_EQ(supports.size(), 6u);
  for (const auto& [support, count] : supports) {
    EXPECT_EQ(support.size(), 2u);
    EXPECT_LT(*support.rbegin(), 4u);
    EXPECT_NEAR(count, 1000, 120);
  }
  EXPECT_EQ(error_scale(options, 7), 2);
  draw_prompt({.problem = Problem::sparse_linear, .sparsity = 6}, {.points = 1, .dims = 7, .active = 4}, 1, 0, prompt);
  EXPECT_EQ(std::count(prompt.w.begin(), prompt.w.end(), 0.0), 3) << "a curriculum may begin with fewer coordinates than are kept";
  expect_error(2, "sparsity 6 exceeds the 5 dimensions",
               [] { check(ProblemOptions{.problem = Problem::sparse_linear, .sparsity = 6}, 5); });
}

TEST(Regression, TheCurriculumIsThePapers) {
  const CurriculumOptions options{.points = 41, .every = 2000};
  int64_t dims = 5, points = 11;  // as published: counters that grow after the step
  for (int64_t step = 0; step < 40'000; ++step) {
    const PromptSize size = size_at(options, 20, step);
    ASSERT_EQ(size.active, dims) << step;
    ASSERT_EQ(size.points, points) << step;
    ASSERT_EQ(size.dims, 20);
    if ((step + 1) % 2000 == 0) dims = std::min<int64_t>(dims + 1, 20), points = std::min<int64_t>(points + 2, 41);
  }
  EXPECT_EQ(dims, 20);
  EXPECT_EQ(size_at(options, 20, INT64_MAX).points, 41);
  const PromptSize whole = size_at({.points = 9}, 3, 0);
  EXPECT_EQ(whole.points, 9);
  EXPECT_EQ(whole.active, 3);
  const PromptSize small = size_at({.points = 9, .every = 10}, 3, 0);
  EXPECT_EQ(small.points, 9) << "a start beyond the end";
  EXPECT_EQ(small.active, 3);
}

TEST(Regression, CoordinatesOutOfUseAreZero) {
  Prompt prompt;
  draw_prompt({}, {.points = 4, .dims = 5, .active = 2}, 1, 1, prompt);
  for (int64_t j = 0; j < 4; ++j)
    for (size_t k = 0; k < 5; ++k) EXPECT_EQ(prompt.row(j)[k] == 0, k >= 2);
}

TEST(RegressionShift, WithoutAShiftPromptsAreThoseOfTraining) {
  const Prompts prompts = evaluation_prompts({}, {}, 4, 6, 11, 3);
  const Drawn same = drawn({}, {.points = 6, .dims = 4, .active = 4}, 11, 0, 3);
  EXPECT_EQ(prompts.x, same.x);
  EXPECT_EQ(prompts.y, same.y);
  EXPECT_FALSE(prompts.own_queries());
}

TEST(RegressionShift, ExamplesOfRandomQuadrantsShareTheirSigns) {
  const Prompts plain = evaluation_prompts({}, {}, 4, 6, 2, 200),
                prompts = evaluation_prompts({}, {.shift = Shift::random_quadrants}, 4, 6, 2, 200);
  std::set<std::vector<bool>> patterns;
  for (int64_t p = 0; p < 200; ++p) {
    std::vector<bool> signs;
    for (const float number : row(prompts.x, prompts, p, 0)) signs.push_back(number > 0);
    patterns.insert(signs);
    for (int64_t j = 0; j < 6; ++j)
      for (size_t k = 0; k < 4; ++k) EXPECT_EQ(row(prompts.x, prompts, p, j)[k] > 0, signs[k]);
  }
  EXPECT_EQ(patterns.size(), 16u);
  EXPECT_EQ(prompts.queries, plain.x);
  EXPECT_EQ(prompts.targets, plain.y);
  EXPECT_NE(prompts.y, plain.y);
}

TEST(RegressionShift, OrthogonalQueriesKeepTheirLength) {
  const Prompts plain = evaluation_prompts({}, {}, 6, 6, 2, 20),
                prompts = evaluation_prompts({}, {.shift = Shift::orthogonal_query}, 6, 6, 2, 20);
  EXPECT_EQ(prompts.x, plain.x);
  for (int64_t p = 0; p < 20; ++p)
    for (int64_t i = 0; i < 6; ++i) {
      const auto query = row(prompts.queries, prompts, p, i), was = row(plain.x, plain, p, i);
      for (int64_t j = 0; j < i; ++j) EXPECT_NEAR(dot(query, row(prompts.x, prompts, p, j)), 0, 1e-5);
      EXPECT_NEAR(dot(query, query), dot(was, was), 1e-5 * dot(was, was));
    }
  expect_error(2, "no query is orthogonal to 6 examples in 6 dimensions",
               [] { evaluation_prompts({}, {.shift = Shift::orthogonal_query}, 6, 7, 2, 1); });
}

TEST(RegressionShift, OverlappingQueriesAreExamplesAndAllOfThem) {
  const Prompts prompts = evaluation_prompts({}, {.shift = Shift::overlapping_query}, 3, 4, 2, 200);
  std::array<int, 3> taken{};
  for (int64_t p = 0; p < 200; ++p)
    for (int64_t i = 1; i < 4; ++i) {
      bool found = false;
      for (int64_t j = 0; j < i; ++j) {
        const auto query = row(prompts.queries, prompts, p, i), example = row(prompts.x, prompts, p, j);
        if (!std::equal(query.begin(), query.end(), example.begin())) continue;
        found = true;
        EXPECT_EQ(prompts.targets[static_cast<size_t>(p * 4 + i)], prompts.y[static_cast<size_t>(p * 4 + j)]);
        if (i == 3) ++taken.at(static_cast<size_t>(j));
      }
      EXPECT_TRUE(found);
    }
  for (const int count : taken) EXPECT_NEAR(count, 67, 30);
}

TEST(RegressionShift, SubspacesKeepTheExpectedLengthAndHaveTheirSpectrum) {
  constexpr int64_t kDims = 6, kPrompts = 3000;
  for (const Shift shift : {Shift::half_subspace, Shift::skewed}) {
    const Prompts prompts = evaluation_prompts({}, {.shift = shift}, kDims, 2, 5, kPrompts);
    double squares = 0, fourth = 0;  // trace of the covariance, and of its square by products of independent rows
    for (int64_t p = 0; p < kPrompts; ++p) {
      squares += dot(row(prompts.x, prompts, p, 0), row(prompts.x, prompts, p, 0)) / kPrompts;
      fourth += std::pow(dot(row(prompts.x, prompts, p, 0), row(prompts.x, prompts, p, 1)), 2) / kPrompts;
    }
    double ones = 0, inverse = 0;  // sums of the spectrum's squares and their squares
    for (int64_t k = 1; k <= kDims; ++k) {
      const double spread = shift == Shift::skewed ? 1. / static_cast<double>(k * k) : k <= kDims / 2 ? 1 : 0;
      ones += spread;
      inverse += spread * spread;
    }
    EXPECT_NEAR(squares, kDims, 0.6);
    EXPECT_NEAR(fourth, kDims * kDims * inverse / (ones * ones), 4.);
  }
  // Four rows of a half subspace of three dimensions depend on each other: Gram's determinant is 0.
  const Prompts flat = evaluation_prompts({}, {.shift = Shift::half_subspace}, kDims, 4, 5, 1);
  std::vector<std::vector<double>> basis;
  double left = 0;
  for (int64_t j = 0; j < 4; ++j) {
    std::vector<double> v(row(flat.x, flat, 0, j).begin(), row(flat.x, flat, 0, j).end());
    for (const auto& axis : basis) {
      const double part = dot(axis, v);
      for (size_t k = 0; k < v.size(); ++k) v[k] -= part * axis[k];
    }
    left = std::sqrt(dot(v, v));
    for (double& number : v) number /= left;
    basis.push_back(v);
  }
  EXPECT_LT(left, 1e-5);
}

TEST(RegressionShift, ScalesAndRescaledNoise) {
  const Prompts plain = evaluation_prompts({}, {}, 4, 5, 2, 3);
  const Prompts x = evaluation_prompts({}, {.shift = Shift::scale_x, .scale = 0.5}, 4, 5, 2, 3);
  const Prompts y = evaluation_prompts({}, {.shift = Shift::scale_y, .scale = 0.5}, 4, 5, 2, 3);
  for (size_t i = 0; i < plain.y.size(); ++i) {
    EXPECT_EQ(y.y[i], plain.y[i] / 2);
    EXPECT_EQ(x.y[i], plain.y[i] / 2);
    EXPECT_EQ(x.x[4 * i], plain.x[4 * i] / 2);
    EXPECT_EQ(y.x[4 * i], plain.x[4 * i]);
  }
  const Prompts noisy = evaluation_prompts({}, {.shift = Shift::noisy}, 4, 1, 2, 20'000);
  double squares = 0;
  for (const float number : noisy.y) squares += static_cast<double>(number) * number / 20'000;
  EXPECT_NEAR(squares, 4, 0.3) << "as large as without noise";
}

}  // namespace
}  // namespace aot
