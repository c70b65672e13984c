// SPDX-License-Identifier: Apache-2.0
// Prompts that a model is tested on: like those it was trained on, or shifted away from them [Garg et al. 2022, section 4] (docs/icl.md).
#pragma once

#include <cstdint>
#include <vector>

#include "aot/data/regression.h"

namespace aot {

enum class Shift {
  none,
  random_quadrants,   // the examples share their signs, a random pattern a prompt; the query is free
  orthogonal_query,   // the query is made orthogonal to all examples and keeps its length; at most d points
  overlapping_query,  // the query is one of the examples
  half_subspace,      // x lies in a random subspace of d / 2 dimensions, E |x|^2 = d as ever
  skewed,             // the covariance of x has eigenvalues proportional to 1 / k^2, k = 1..d, in a random basis; E |x|^2 = d
  scale_x,            // x times `scale`
  scale_y,            // y times `scale`
  noisy,              // y with noise of standard deviation 1, divided by sqrt(1 + 1 / E w.w) so that it is no larger than without
};

struct ShiftOptions {
  Shift shift = Shift::none;
  double scale = 2;  // of scale-x and scale-y; the paper has 1/3, 1/2, 2 and 3
};

void describe(Fields& fields, ShiftOptions& options);

/// Prompts in float32. After the first i examples of a prompt its query i is asked, whose answer is target i.
struct Prompts {
  int64_t count = 0, points = 0, dims = 0;
  std::vector<float> x, y;              // examples (count, n, d), (count, n)
  std::vector<float> queries, targets;  // the same shapes; empty where query i is the next example

  [[nodiscard]] bool own_queries() const { return !queries.empty(); }
  [[nodiscard]] const std::vector<float>& asked() const { return own_queries() ? queries : x; }
  [[nodiscard]] const std::vector<float>& answers() const { return own_queries() ? targets : y; }
};

/// Prompts 0 .. count - 1 of a seed. The paper rescales noisy y by the deviation that it measures over a batch, we by the expected one.
/// Throws UsageError when `problem` does not fit `dims` or orthogonal queries are asked for after d examples or more.
Prompts evaluation_prompts(const ProblemOptions& problem, const ShiftOptions& shift, int64_t dims, int64_t points, uint64_t seed,
                           int64_t count);

}  // namespace aot
