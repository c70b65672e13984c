// SPDX-License-Identifier: Apache-2.0
#include "aot/data/regression.h"

#include <algorithm>
#include <numeric>

#include "aot/core/random.h"
#include "aot/io/error.h"

namespace aot {

void describe(Fields& fields, ProblemOptions& options) {
  fields.add("problem", options.problem, {{"linear", Problem::linear}, {"sparse-linear", Problem::sparse_linear}},
             "functions to learn in context: w . x, with all or few coordinates of w");
  fields.add("sparsity", options.sparsity, "s, coordinates of w that are not 0, of sparse-linear").min(1).max(1 << 18);
  fields.add("noise", options.noise, "standard deviation of what is added to y").min(0).max(1e6);
}

void check(const ProblemOptions& options, int64_t dims) {
  if (options.problem == Problem::sparse_linear && options.sparsity > dims)
    throw UsageError(str("sparsity ", options.sparsity, " exceeds the ", dims, " dimensions"), "lower --sparsity or raise --dims");
}

double error_scale(const ProblemOptions& options, int64_t dims) {
  return static_cast<double>(options.problem == Problem::sparse_linear ? options.sparsity : dims);
}

void describe(Fields& fields, CurriculumOptions& options) {
  fields.add("points", options.points, "n, pairs of x and y in a prompt").min(1).max(1 << 19);
  fields.add("curriculum-every", options.every, "steps after which prompts get one dimension and two points more; 0: whole from the start")
      .min(0)
      .max(1e12);
  fields.add("first-dims", options.first_dims, "dimensions in use at the start of a curriculum").min(1).max(1 << 18);
  fields.add("first-points", options.first_points, "points at the start of a curriculum").min(1).max(1 << 19);
}

PromptSize size_at(const CurriculumOptions& options, int64_t dims, int64_t step) {
  if (options.every == 0) return {.points = options.points, .dims = dims, .active = dims};
  const int64_t stage = std::min(step / options.every, dims + options.points);  // beyond both ends, and far from overflow
  return {.points = std::min(options.points, options.first_points + 2 * stage),
          .dims = dims,
          .active = std::min(dims, options.first_dims + stage)};
}

double Prompt::value(std::span<const double> at) const {
  return std::inner_product(w.begin(), w.end(), at.begin(), 0.0);
}

void draw_prompt(const ProblemOptions& options, const PromptSize& size, uint64_t seed, uint64_t index, Prompt& into) {
  const auto active = static_cast<size_t>(size.active), dims = static_cast<size_t>(size.dims), points = static_cast<size_t>(size.points);
  Random functions(derive_seed(seed, "regression function", index));
  into.w.assign(dims, 0);
  for (size_t k = 0; k < active; ++k) into.w[k] = functions.normal();
  if (options.problem == Problem::sparse_linear) {
    std::vector<size_t> coordinates(active);
    std::iota(coordinates.begin(), coordinates.end(), size_t{0});
    shuffle(coordinates, functions);
    for (auto k = static_cast<size_t>(options.sparsity); k < active; ++k) into.w[coordinates[k]] = 0;
  }
  Random inputs(derive_seed(seed, "regression inputs", index));
  into.x.assign(points * dims, 0);
  for (size_t j = 0; j < points; ++j)
    for (size_t k = 0; k < active; ++k) into.x[j * dims + k] = inputs.normal();
  into.noise.assign(points, 0);
  if (options.noise == 0) return;
  Random noise(derive_seed(seed, "regression noise", index));
  for (double& number : into.noise) number = options.noise * noise.normal();
}

void draw_prompts(const ProblemOptions& options, const PromptSize& size, uint64_t seed, uint64_t first, int64_t count, float* x, float* y) {
  Prompt prompt;
  for (int64_t i = 0; i < count; ++i) {
    draw_prompt(options, size, seed, first + static_cast<uint64_t>(i), prompt);
    x = std::transform(prompt.x.begin(), prompt.x.end(), x, [](double number) { return static_cast<float>(number); });
    for (int64_t j = 0; j < size.points; ++j) *y++ = static_cast<float>(prompt.value(prompt.row(j)) + prompt.noise[static_cast<size_t>(j)]);
  }
}

}  // namespace aot
