// SPDX-License-Identifier: Apache-2.0
// Prompts for learning linear functions in context, drawn as they are needed [Garg et al. 2022] (docs/icl.md). Everything about a prompt is
// a function of (seed, index), so a run that goes on draws what it would have drawn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aot/core/options.h"

namespace aot {

enum class Problem { linear, sparse_linear };

/// What a prompt asks: y_j = w . x_j + noise, x_j and w from N(0, I), w anew for every prompt.
struct ProblemOptions {
  Problem problem = Problem::linear;
  int64_t sparsity = 3;  // s: coordinates of w that are kept, in sparse-linear; a random set of those in use
  double noise = 0;      // standard deviation, added to every y
};

void describe(Fields& fields, ProblemOptions& options);

/// Throws UsageError when prompts of `dims` coordinates cannot be like that.
void check(const ProblemOptions& options, int64_t dims);

/// E w.w: what squared errors are divided by, so that a model that always says 0 has error 1.   d, or s in sparse-linear
double error_scale(const ProblemOptions& options, int64_t dims);

struct PromptSize {
  int64_t points = 0;  // n, pairs of x and y
  int64_t dims = 0;    // d, numbers of an x
  int64_t active = 0;  // of them in use; the others are 0
};

/// How prompts grow while a model trains: by one coordinate and two points at a time.
struct CurriculumOptions {
  int64_t points = 11;     // n, at the end
  int64_t every = 0;       // steps between two sizes; 0: the last size from the start
  int64_t first_dims = 5;  // coordinates in use at the start
  int64_t first_points = 11;
};

void describe(Fields& fields, CurriculumOptions& options);

/// The size of the prompts of a step, counted from 0.
PromptSize size_at(const CurriculumOptions& options, int64_t dims, int64_t step);

/// One prompt in float64.
struct Prompt {
  std::vector<double> w;      // (d,)
  std::vector<double> x;      // (n, d)
  std::vector<double> noise;  // (n,)

  [[nodiscard]] std::span<double> row(int64_t j) { return {x.data() + static_cast<size_t>(j) * w.size(), w.size()}; }
  /// w . x
  [[nodiscard]] double value(std::span<const double> at) const;
};

/// Draws prompt `index`. Prompts of more points begin like those of fewer, and noise changes neither x nor w.
void draw_prompt(const ProblemOptions& options, const PromptSize& size, uint64_t seed, uint64_t index, Prompt& into);

/// Prompts first, first + 1, ..., first + count - 1 in float32: x (count, n, d), y (count, n).
void draw_prompts(const ProblemOptions& options, const PromptSize& size, uint64_t seed, uint64_t first, int64_t count, float* x, float* y);

}  // namespace aot
