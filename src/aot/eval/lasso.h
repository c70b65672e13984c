// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace aot {

/// What the lasso sees of i examples (X, y) in d dimensions.
struct LassoProblem {
  std::span<const double> gram;  // (d, d): X^T X / i
  std::span<const double> xy;    // (d,): X^T y / i
  double yy = 0;                 // y . y / i
};

/// Minimises |y - X w|^2 / (2 i) + alpha |w|_1 by cyclic coordinate descent from what `w` (d,) holds, until the duality gap is below
/// 1e-13 y.y / (2 i) or after 100,000 sweeps.   [Tibshirani 1996; Friedman, Hastie and Tibshirani 2010]
/// Once the sweeps have found which coordinates are not 0, and with which signs, those are solved for: small alpha would take thousands of
/// sweeps more. Returns the gap over y.y / (2 i).   REQUIRES: alpha > 0.
double lasso(const LassoProblem& problem, double alpha, std::span<double> w);

}  // namespace aot
