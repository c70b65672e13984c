// SPDX-License-Identifier: Apache-2.0
#include "aot/data/regression_shift.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "aot/core/random.h"
#include "aot/io/error.h"

namespace aot {
namespace {

using Vector = std::vector<double>;

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Takes away the parts of `v` along an orthonormal basis; twice, since once leaves a rounding error of the size of what was taken.
void remove_parts(const std::vector<Vector>& basis, std::span<double> v) {
  for (int turn = 0; turn < 2; ++turn)
    for (const Vector& axis : basis) {
      const double part = dot(axis, v);
      for (size_t k = 0; k < v.size(); ++k) v[k] -= part * axis[k];
    }
}

void scale_to(std::span<double> v, double length) {
  const double factor = length / std::sqrt(dot(v, v));
  for (double& number : v) number *= factor;
}

/// d orthonormal vectors in random directions.
std::vector<Vector> random_basis(int64_t dims, uint64_t seed) {
  Random random(derive_seed(seed, "regression basis"));
  std::vector<Vector> basis;
  for (int64_t i = 0; i < dims; ++i) {
    Vector v(static_cast<size_t>(dims));
    for (double& number : v) number = random.normal();
    remove_parts(basis, v);
    scale_to(v, 1);
    basis.push_back(std::move(v));
  }
  return basis;
}

/// What x is multiplied by along each of the axes: sum of squares d.
Vector spreads(Shift shift, int64_t dims) {
  Vector out(static_cast<size_t>(dims), 0);
  const size_t kept = shift == Shift::half_subspace ? std::max<size_t>(1, out.size() / 2) : out.size();
  for (size_t k = 0; k < kept; ++k) out[k] = shift == Shift::half_subspace ? 1 : 1 / static_cast<double>(k + 1);
  scale_to(out, std::sqrt(static_cast<double>(dims)));
  return out;
}

/// x <- sum_k spread_k (x . axis_k) axis_k
void spread_along(const std::vector<Vector>& axes, const Vector& spread, std::span<double> x) {
  Vector moved(x.size(), 0);
  for (size_t k = 0; k < axes.size(); ++k) {
    const double part = spread[k] * dot(axes[k], x);
    for (size_t i = 0; i < x.size(); ++i) moved[i] += part * axes[k][i];
  }
  std::copy(moved.begin(), moved.end(), x.begin());
}

/// Turns the rows of prompt.x into what the shift makes of examples, and returns the queries (n, d), or nothing when those are the
/// examples.
Vector shifted(Shift shift, Random& random, Prompt& prompt, int64_t points) {
  const size_t dims = prompt.w.size();
  Vector queries;
  if (shift == Shift::random_quadrants) {
    queries = prompt.x;
    Vector signs(dims);
    for (double& sign : signs) sign = random.below(2) == 0 ? 1 : -1;
    for (size_t i = 0; i < prompt.x.size(); ++i) prompt.x[i] = signs[i % dims] * std::abs(prompt.x[i]);
  } else if (shift == Shift::orthogonal_query) {
    queries = prompt.x;
    std::vector<Vector> basis;  // of the span of the examples so far
    for (int64_t i = 0; i < points; ++i) {
      const std::span<double> query(queries.data() + static_cast<size_t>(i) * dims, dims);
      const double length = std::sqrt(dot(query, query));
      remove_parts(basis, query);
      Vector axis(query.begin(), query.end());
      scale_to(axis, 1);
      basis.push_back(std::move(axis));
      scale_to(query, length);
    }
  } else if (shift == Shift::overlapping_query) {
    queries = prompt.x;
    for (int64_t i = 1; i < points; ++i) {
      const std::span<const double> example = prompt.row(static_cast<int64_t>(random.below(static_cast<uint64_t>(i))));
      std::copy(example.begin(), example.end(), queries.begin() + i * static_cast<int64_t>(dims));
    }
  }
  return queries;
}

}  // namespace

void describe(Fields& fields, ShiftOptions& options) {
  fields.add("shift", options.shift,
             {{"none", Shift::none},
              {"random-quadrants", Shift::random_quadrants},
              {"orthogonal-query", Shift::orthogonal_query},
              {"overlapping-query", Shift::overlapping_query},
              {"half-subspace", Shift::half_subspace},
              {"skewed", Shift::skewed},
              {"scale-x", Shift::scale_x},
              {"scale-y", Shift::scale_y},
              {"noisy", Shift::noisy}},
             "how prompts differ from those of the training");
  fields.add("scale", options.scale, "factor of scale-x and scale-y").above(0).max(1e6);
}

Prompts evaluation_prompts(const ProblemOptions& problem, const ShiftOptions& shift, int64_t dims, int64_t points, uint64_t seed,
                           int64_t count) {
  check(problem, dims);
  if (shift.shift == Shift::orthogonal_query && points > dims)
    throw UsageError(str("no query is orthogonal to ", points - 1, " examples in ", dims, " dimensions"), str("give --points ", dims));
  ProblemOptions drawn = problem;
  double y_factor = shift.shift == Shift::scale_y ? shift.scale : 1;
  if (shift.shift == Shift::noisy) {
    drawn.noise = 1;
    y_factor = 1 / std::sqrt(1 + 1 / error_scale(problem, dims));
  }
  const bool spread = shift.shift == Shift::half_subspace || shift.shift == Shift::skewed;
  const std::vector<Vector> axes = spread ? random_basis(dims, seed) : std::vector<Vector>();
  const Vector factors = spread ? spreads(shift.shift, dims) : Vector();

  Prompts out{.count = count, .points = points, .dims = dims, .x = {}, .y = {}, .queries = {}, .targets = {}};
  Prompt prompt;
  const auto add = [&](Vector& x, std::vector<float>& into_x, std::vector<float>& into_y) {
    for (int64_t j = 0; j < points; ++j) {
      const std::span<const double> row(x.data() + j * dims, static_cast<size_t>(dims));
      const double y = y_factor * (prompt.value(row) + prompt.noise[static_cast<size_t>(j)]);
      for (const double number : row) into_x.push_back(static_cast<float>(number));
      into_y.push_back(static_cast<float>(y));
    }
  };
  for (int64_t p = 0; p < count; ++p) {
    draw_prompt(drawn, {.points = points, .dims = dims, .active = dims}, seed, static_cast<uint64_t>(p), prompt);
    if (shift.shift == Shift::scale_x)
      for (double& number : prompt.x) number *= shift.scale;
    if (spread)
      for (int64_t j = 0; j < points; ++j) spread_along(axes, factors, prompt.row(j));
    Random random(derive_seed(seed, "regression shift", static_cast<uint64_t>(p)));
    Vector queries = shifted(shift.shift, random, prompt, points);
    add(prompt.x, out.x, out.y);
    if (!queries.empty()) add(queries, out.queries, out.targets);
  }
  return out;
}

}  // namespace aot
