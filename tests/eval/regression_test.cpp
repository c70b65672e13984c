// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/regression.h"

#include <cmath>
#include <cstdlib>
#include <numeric>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/eval/lasso.h"
#include "aot/io/file.h"
#include "aot/io/json.h"

namespace aot {
namespace {

PromptTensors prompts_of(int64_t dims, int64_t points, int64_t count, const ProblemOptions& problem = {}, const ShiftOptions& shift = {}) {
  return prompt_tensors(evaluation_prompts(problem, shift, dims, points, 7, count));
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// Mean error after i examples over E w.w, and its standard error.
std::pair<double, double> error_after(const at::Tensor& predictions, const PromptTensors& prompts, int64_t i, double scale) {
  const at::Tensor errors = (predictions.select(1, i) - prompts.targets.select(1, i)).square() / scale;
  return {errors.mean().item<double>(), errors.std().item<double>() / std::sqrt(static_cast<double>(errors.size(0)))};
}

TEST(Baselines, HaveTheErrorsOfTheClosedForms) {
  for (const int64_t dims : {5, 20}) {
    const PromptTensors prompts = prompts_of(dims, dims + 4, 1000);
    const auto scale = static_cast<double>(dims);
    const at::Tensor least = least_squares_predictions(prompts), averaging = averaging_predictions(prompts),
                     zero = zero_predictions(prompts);
    for (int64_t i = 0; i < dims + 4; ++i) {
      const auto near = [&](const at::Tensor& predictions, double wanted, const char* name) {
        const auto [mean, error] = error_after(predictions, prompts, i, scale);
        EXPECT_NEAR(mean, wanted, 4 * error + 1e-6) << name << " after " << i << " of " << dims;
      };
      // At i = d the mean of least squares is 0 but for float32's rounding of y over the smallest singular value of a square matrix.
      if (i != dims) near(least, std::max(0.0, 1 - static_cast<double>(i) / scale), "least squares");
      near(averaging, i == 0 ? 1 : static_cast<double>(dims + 1) / static_cast<double>(i), "averaging");
      near(zero, 1, "zero");
    }
  }
}

TEST(Baselines, RidgeWithTheNoisesVarianceIsBestUnderNoise) {
  const ProblemOptions noisy{.noise = 1};
  const PromptTensors prompts = prompts_of(5, 12, 1500, noisy);
  const auto error = [&](const at::Tensor& predictions) { return error_after(predictions, prompts, 11, 5).first; };
  const double best = error(ridge_predictions(prompts, 1));
  EXPECT_LT(best, error(ridge_predictions(prompts, 0.1)));
  EXPECT_LT(best, error(ridge_predictions(prompts, 10)));
  EXPECT_LT(best, error(least_squares_predictions(prompts)));
  EXPECT_GT(best, 1. / 5) << "the noise of the target itself";
}

TEST(Baselines, LassoFindsSparseFunctionsFromFewerExamplesThanDimensions) {
  const PromptTensors prompts = prompts_of(20, 17, 200, {.problem = Problem::sparse_linear, .sparsity = 3});
  const double lasso_error = error_after(lasso_predictions(prompts, 0.01), prompts, 16, 3).first;
  EXPECT_LT(lasso_error, 0.05);
  EXPECT_GT(error_after(least_squares_predictions(prompts), prompts, 16, 3).first, 0.1);
}

TEST(Baselines, AgreeWithScikitLearn) {
  const std::string path = std::string(std::getenv("AOT_SOURCE")) + "/tests/golden/regression/predictions.json";
  const Json golden = parse_json(read_file(path, 1 << 20), path);
  const auto tensor = [](const std::vector<double>& numbers, std::vector<int64_t> shape) {
    const at::Tensor out = at::empty(shape, at::kDouble);
    std::copy(numbers.begin(), numbers.end(), out.mutable_data_ptr<double>());
    return out;
  };
  ASSERT_EQ(golden.size(), 3u);
  for (const Json& row : golden) {
    std::vector<double> numbers;
    for (const Json& x : row["x"])
      for (const Json& number : x) numbers.push_back(number.get<double>());
    const auto points = static_cast<int64_t>(row["x"].size()), dims = static_cast<int64_t>(row["x"][0].size());
    PromptTensors prompts{.x = tensor(numbers, {1, points, dims}), .y = tensor(row["y"].get<std::vector<double>>(), {1, points})};
    prompts.queries = prompts.x;
    prompts.targets = prompts.y;
    const auto same = [&](const at::Tensor& predictions, const Json& wanted, const std::string& name) {
      EXPECT_LT(max_difference(predictions, tensor(wanted.get<std::vector<double>>(), {1, points})), 1e-5) << name;
    };
    same(least_squares_predictions(prompts), row["least_squares"], "least squares");
    same(ridge_predictions(prompts, 0.25), row["ridge"], "ridge");
    same(nearest_predictions(prompts, 3), row["nearest"], "nearest");
    for (const double alpha : {1.0, 0.1, 0.01, 0.001, 0.0001}) {
      std::ostringstream key;
      key << alpha;
      same(lasso_predictions(prompts, alpha), row["lasso"][key.str() == "1e-04" ? "0.0001" : key.str()], "lasso " + key.str());
    }
  }
}

TEST(Baselines, NamesSayWhatTheyAre) {
  const auto names = [](Problem problem, double noise) {
    std::string all;
    for (const Baseline& baseline : baselines_of(problem, noise)) all += baseline.name + " ";
    return all;
  };
  EXPECT_EQ(names(Problem::linear, 0), "least-squares ridge-0.01 3-nearest averaging zero ");
  EXPECT_EQ(names(Problem::sparse_linear, 0.5),
            "least-squares ridge-0.25 lasso-1 lasso-0.1 lasso-0.01 lasso-0.001 lasso-0.0001 3-nearest averaging zero ");
}

TEST(Lasso, SolvesAnOrthogonalDesignByShrinking) {
  const std::vector<double> gram = {2, 0, 0, 0, 1, 0, 0, 0, 0}, xy = {3, -0.4, 0};
  std::vector<double> w(3, 0.5);
  w[2] = 0;  // all x are 0 there
  EXPECT_LT(lasso({.gram = gram, .xy = xy, .yy = 9}, 0.5, w), 1e-12);
  EXPECT_NEAR(w[0], 1.25, 1e-12);
  EXPECT_EQ(w[1], 0);
  EXPECT_EQ(w[2], 0);
}

TEST(Lasso, MeetsItsConditionsAlsoWhereSweepsAreSlow) {
  Random random(3);
  for (const int64_t examples : {3, 11, 12, 13, 30})
    for (const double alpha : {1.0, 0.01, 0.0001}) {
      constexpr size_t kDims = 12;
      std::vector<double> gram(kDims * kDims), xy(kDims), w(kDims);
      double yy = 0;
      for (int64_t i = 0; i < examples; ++i) {
        std::array<double, kDims> x{};
        const double common = random.normal();
        for (double& number : x) number = common + 0.1 * random.normal();  // nearly the same in all coordinates
        const double y = 2 * x[0] - x[5] + 0.1 * random.normal();
        yy += y * y / static_cast<double>(examples);
        for (size_t j = 0; j < kDims; ++j) {
          xy[j] += x.at(j) * y / static_cast<double>(examples);
          for (size_t k = 0; k < kDims; ++k) gram[j * kDims + k] += x.at(j) * x.at(k) / static_cast<double>(examples);
        }
      }
      EXPECT_LE(lasso({.gram = gram, .xy = xy, .yy = yy}, alpha, w), 1e-13);
      for (size_t j = 0; j < kDims; ++j) {  // the subgradient holds 0
        double correlation = xy[j];
        for (size_t k = 0; k < kDims; ++k) correlation -= gram[j * kDims + k] * w[k];
        if (w[j] == 0)
          EXPECT_LE(std::abs(correlation), alpha + 1e-6);
        else
          EXPECT_NEAR(correlation, std::copysign(alpha, w[j]), 1e-6);
      }
    }
}

TEST(ErrorCurve, IsTheMeanAndThePercentilesOfResampledMeans) {
  const at::Tensor targets = at::zeros({400, 2}, at::kDouble);
  at::Tensor predictions = at::zeros({400, 2}, at::kDouble);
  Random random(1);
  for (int64_t p = 0; p < 400; ++p) predictions[p][1].fill_(random.normal());
  const ErrorCurve curve = error_curve("name", predictions, targets, 2, 1);
  EXPECT_EQ(curve.error[0], 0);
  EXPECT_EQ(curve.high[0], 0);
  const at::Tensor errors = predictions.select(1, 1).square() / 2;
  EXPECT_NEAR(curve.error[1], errors.mean().item<double>(), 1e-12);
  const double deviation = errors.std().item<double>() / 20;  // of the mean; percentiles of a normal distribution at 1.645
  EXPECT_NEAR(curve.low[1], curve.error[1] - 1.645 * deviation, 0.25 * deviation);
  EXPECT_NEAR(curve.high[1], curve.error[1] + 1.645 * deviation, 0.25 * deviation);
  EXPECT_EQ(error_curve("name", predictions, targets, 2, 1).low, curve.low);
  EXPECT_NE(error_curve("name", predictions, targets, 2, 2).low, curve.low);
}

TEST(ModelPredictions, AnswerQueriesOfTheirOwnByThePromptSoFar) {
  const RegressionModel model({.layers = 2, .dims = 3, .max_points = 6}, 1);
  const PromptTensors own = prompts_of(3, 6, 150, {}, {.shift = Shift::random_quadrants}), plain = prompts_of(3, 6, 150);
  const at::Tensor asked = model_predictions(model, own);
  for (int64_t i = 0; i < 6; ++i) {
    const at::Tensor x = at::cat({own.x.narrow(1, 0, i), own.queries.narrow(1, i, 1), own.x.narrow(1, i, 5 - i)}, 1);
    const at::Tensor y = at::full({150, 6}, 3, at::kDouble);  // whatever comes from the query's answer on
    y.narrow(1, 0, i).copy_(own.y.narrow(1, 0, i));
    EXPECT_LT(max_difference(model.predictions(x.to(at::kFloat), y.to(at::kFloat)).select(1, i).to(at::kDouble), asked.select(1, i)), 1e-5);
  }
  EXPECT_LT(max_difference(model_predictions(model, plain), model.predictions(plain.x.to(at::kFloat), plain.y.to(at::kFloat))), 1e-5);
}

TEST(MeanSquaredError, IsTheLossOnFixedPromptsWhateverTheBatch) {
  const RegressionModel model({.layers = 1, .dims = 3, .max_points = 5}, 1);
  const Prompts prompts = evaluation_prompts({.noise = 0.5}, {}, 3, 4, 21, 10);
  const PromptTensors tensors = prompt_tensors(prompts);
  const double loss = model.loss(tensors.x.to(at::kFloat), tensors.y.to(at::kFloat)).item<double>();
  for (const int64_t batch : {1, 4, 64}) EXPECT_NEAR(mean_squared_error(model, {.noise = 0.5}, 4, 21, 10, batch).value(), loss, 1e-5);
}

}  // namespace
}  // namespace aot
