// SPDX-License-Identifier: Apache-2.0
// Curves through a row of values y_1, y_2, ..., and by how much they miss.
#pragma once

#include <vector>

namespace aot {

struct Fit {
  std::vector<double> curve;    // the fitted values
  double a = 0, b = 0;          // what they mean is said by each function
  double rms = 0, largest = 0;  // residuals, in units of y
};

/// a + b n by least squares, n = 1, 2, ...
Fit fit_line(const std::vector<double>& y);

/// a b^(n - 1) by least squares in y, not in log y: the same measure as the line's. REQUIRES: y > 0.
Fit fit_geometric(const std::vector<double>& y);

/// y_(n+1) = y_n + a y_n / sqrt(y_n^2 + b) from y_1 on: the law of a layer that normalises its input, in which b is 1. a and b by least
/// squares in the steps, the curve by running the law.
Fit fit_prenorm(const std::vector<double>& y);
/// The same with b given.
Fit fit_prenorm(const std::vector<double>& y, double b);

/// A law for steps: step_n from the value y_n before it. `curve` holds the fitted steps.
///   prenorm: a y / sqrt(y^2 + b), a layer that normalises its input while its mask is exact; b -> infinity is ratio, b -> 0 constant
///   ratio: a y, the theorem's layer;   constant: a
/// b is searched between 1e-4 and 1e4 of the mean square of y.
Fit fit_prenorm_steps(const std::vector<double>& y, const std::vector<double>& steps);
Fit fit_ratio_steps(const std::vector<double>& y, const std::vector<double>& steps);
Fit fit_constant_steps(const std::vector<double>& steps);

/// a x_n for the best a: how well one run's shape is another's.
Fit fit_scaled(const std::vector<double>& y, const std::vector<double>& x);

}  // namespace aot
