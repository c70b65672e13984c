// SPDX-License-Identifier: Apache-2.0
// What a linear classifier makes of a model's frozen features: multinomial logistic regression, solved to the end.
#pragma once

#include <cstdint>
#include <optional>

#include "aot/eval/pictures.h"

namespace aot {

struct LinearProbeOptions {
  double penalty = 1;         // lambda below; scikit-learn's 1 / C
  double tolerance = 1e-6;    // of the largest entry of the gradient divided by N
  int64_t iterations = 2000;  // at most
};

/// The classifier, in the units of the features it was fitted on.
struct LinearProbe {
  at::Tensor weight, bias;  // (classes, D), (classes,) float64
  double objective = 0;     // at the end, divided by N
  double gradient = 0;      // its largest entry there
  int64_t iterations = 0;
  bool converged = false;
};

/// Minimises sum_i CE(W x_i + b, y_i) + lambda / 2 |W|^2 in float64 over all N pictures at once, by L-BFGS with ten pairs and a
/// backtracking line search. Features are first brought to mean 0 and deviation 1 each (one that never changes stays 0), so that the
/// penalty does not depend on their units; the result is in the units given.            [Nocedal & Wright 2006, algorithm 7.4, (3.6a)]
///   x (N, D), labels (N,) below `classes`. Nothing when a signal asked for a stop.
std::optional<LinearProbe> fit_linear_probe(const PictureFeatures& train, int64_t classes, const LinearProbeOptions& options = {},
                                            bool progress = false);

/// The classifier on other pictures.
PictureScore score_linear_probe(const LinearProbe& probe, const PictureFeatures& val);

}  // namespace aot
