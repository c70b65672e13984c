// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/lasso.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace aot {
namespace {

constexpr double kGap = 1e-13;
constexpr int kSweeps = 100'000;
constexpr int kSweepsBetweenChecks = 8;

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// X^T (y - X w) / i
void correlations(const LassoProblem& p, std::span<const double> w, std::span<double> out) {
  const size_t dims = w.size();
  for (size_t k = 0; k < dims; ++k) out[k] = p.xy[k] - dot(p.gram.subspan(k * dims, dims), w);
}

/// Primal minus dual objective at w, the dual's point being the residual scaled into its feasible set, over y.y / (2 i).
double relative_gap(const LassoProblem& p, double alpha, std::span<const double> w, std::span<const double> correlation) {
  if (p.yy == 0) return 0;
  double largest = 0, absolute = 0;
  for (size_t k = 0; k < w.size(); ++k) {
    largest = std::max(largest, std::abs(correlation[k]));
    absolute += std::abs(w[k]);
  }
  const double yr = p.yy - dot(p.xy, w), rr = std::max(0.0, yr - dot(w, correlation));  // y.r / i, r.r / i
  const double s = largest > alpha ? alpha / largest : 1;
  // rr / 2 + alpha |w|_1 - (s yr - s^2 rr / 2), without the difference of two large numbers: yr = rr + w . correlation.
  const double gap = (1 - s) * (1 - s) * rr / 2 + alpha * absolute - s * dot(w, correlation);
  return std::max(0.0, gap) / (p.yy / 2);
}

/// Solves gram_AA w_A = xy_A - alpha sign_A over the coordinates A where w is not 0, by Cholesky. False where that has no unique solution
/// or a sign changes; w is then as it was.
bool solve_for_support(const LassoProblem& p, double alpha, std::span<double> w) {
  const size_t dims = w.size();
  std::vector<size_t> support;
  for (size_t k = 0; k < dims; ++k)
    if (w[k] != 0) support.push_back(k);
  const size_t size = support.size();
  std::vector<double> factor(size * size), solution(size);
  for (size_t i = 0; i < size; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = p.gram[support[i] * dims + support[j]];
      for (size_t k = 0; k < j; ++k) sum -= factor[i * size + k] * factor[j * size + k];
      if (i != j) {
        factor[i * size + j] = sum / factor[j * size + j];
      } else {
        if (sum <= 1e-12 * p.gram[support[i] * dims + support[i]]) return false;
        factor[i * size + i] = std::sqrt(sum);
      }
    }
    double sum = p.xy[support[i]] - std::copysign(alpha, w[support[i]]);
    for (size_t k = 0; k < i; ++k) sum -= factor[i * size + k] * solution[k];
    solution[i] = sum / factor[i * size + i];
  }
  for (size_t i = size; i-- > 0;) {
    for (size_t k = i + 1; k < size; ++k) solution[i] -= factor[k * size + i] * solution[k];
    solution[i] /= factor[i * size + i];
  }
  for (size_t i = 0; i < size; ++i)
    if (solution[i] * w[support[i]] <= 0) return false;
  for (size_t i = 0; i < size; ++i) w[support[i]] = solution[i];
  return true;
}

}  // namespace

double lasso(const LassoProblem& p, double alpha, std::span<double> w) {
  const size_t dims = w.size();
  std::vector<double> correlation(dims), exact(dims);
  correlations(p, w, correlation);
  double gap = 0;
  for (int sweep = 1; sweep <= kSweeps; ++sweep) {
    for (size_t k = 0; k < dims; ++k) {
      const double curvature = p.gram[k * dims + k];
      if (curvature == 0) continue;  // a coordinate that all x leave at 0
      const double target = correlation[k] + curvature * w[k];
      const double moved = std::copysign(std::max(0.0, std::abs(target) - alpha), target) / curvature;
      const double change = moved - w[k];
      if (change == 0) continue;
      w[k] = moved;
      for (size_t j = 0; j < dims; ++j) correlation[j] -= change * p.gram[k * dims + j];
    }
    if (sweep % kSweepsBetweenChecks != 0) continue;
    std::copy(w.begin(), w.end(), exact.begin());
    if (solve_for_support(p, alpha, exact)) {
      std::vector<double> there(dims);
      correlations(p, exact, there);
      if ((gap = relative_gap(p, alpha, exact, there)) <= kGap) {
        std::copy(exact.begin(), exact.end(), w.begin());
        return gap;
      }
    }
    correlations(p, w, correlation);  // without the rounding errors of the updates
    if ((gap = relative_gap(p, alpha, w, correlation)) <= kGap) return gap;
  }
  return gap;
}

}  // namespace aot
