// SPDX-License-Identifier: Apache-2.0
// How well functions are learnt in context: the squared error of predictions against the number of examples (docs/icl.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aot/eval/regression_baselines.h"
#include "aot/models/regression.h"

namespace aot {

/// (prediction - target)^2 / E w.w by number of examples: the mean over prompts, and the 5th and 95th percentile of such means over
/// resampled prompts.
struct ErrorCurve {
  std::string model;
  std::vector<double> error, low, high;  // [i]: after i examples
};

/// A model's predictions of all targets, (B, n) float64; a model that has taken example i into its state cannot be asked query i, so
/// prompts with queries of their own take a pass for every i. No gradient.
at::Tensor model_predictions(const RegressionModel& model, const PromptTensors& prompts);

/// The curve of predictions (B, n) float64; the same prompts are resampled at the same seed whatever the predictions are. The percentiles
/// are those entries of the sorted means that Garg et al. take.   resamples >= 1
ErrorCurve error_curve(const std::string& name, const at::Tensor& predictions, const at::Tensor& targets, double scale, uint64_t seed,
                       int64_t resamples = 1000);

/// What a training watches: the mean of (prediction - y)^2, as its loss is, over all points of prompts 0 .. prompts - 1 of `seed`, in
/// passes of `batch`. No gradient. Empty when a signal asks to stop meanwhile.
std::optional<double> mean_squared_error(const RegressionModel& model, const ProblemOptions& problem, int64_t points, uint64_t seed,
                                         int64_t prompts, int64_t batch);

}  // namespace aot
