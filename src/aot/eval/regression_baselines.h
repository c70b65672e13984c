// SPDX-License-Identifier: Apache-2.0
// What classical methods predict from the same examples [Garg et al. 2022, section 3 and appendix A], and evaluation prompts as tensors.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/data/regression_shift.h"

namespace aot {

/// Prompts as tensors: after the first i rows of x and y, queries[i] is asked, whose answer is targets[i].
struct PromptTensors {
  at::Tensor x, y;              // (B, n, d), (B, n)
  at::Tensor queries, targets;  // the same shapes; the examples themselves unless the prompts have queries of their own
};

/// In float64, with the numbers that a model gets in float32.
PromptTensors prompt_tensors(const Prompts& prompts);

/// All of them take PromptTensors in float64 and return what y is at queries[i] by the first i examples, (B, n); without any example 0.

/// w that minimises |y - X w|, the shortest of them where there are many.
at::Tensor least_squares_predictions(const PromptTensors& prompts);
/// w that minimises |y - X w|^2 + lambda |w|^2, lambda > 0: with lambda the variance of noise the best of all predictions, as w is N(0, I).
at::Tensor ridge_predictions(const PromptTensors& prompts, double lambda);
/// w that minimises |y - X w|^2 / (2 i) + alpha |w|_1 (eval/lasso.h).
at::Tensor lasso_predictions(const PromptTensors& prompts, double alpha);
/// The mean y of the min(i, neighbours) examples nearest to the query.
at::Tensor nearest_predictions(const PromptTensors& prompts, int64_t neighbours);
/// w = (1 / i) sum_j y_j x_j.
at::Tensor averaging_predictions(const PromptTensors& prompts);
/// 0.
at::Tensor zero_predictions(const PromptTensors& prompts);

struct Baseline {
  std::string name;
  std::function<at::Tensor(const PromptTensors&)> predictions;
};

/// least-squares, ridge-LAMBDA, lasso-ALPHA for the five published alpha where w is sparse, 3-nearest, averaging, zero. `noise` is the
/// deviation of the noise in y over the size of the numbers in w: LAMBDA is its square, and 0.01 without noise.
std::vector<Baseline> baselines_of(Problem problem, double noise);

}  // namespace aot
