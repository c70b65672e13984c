// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/fits.h"

#include <algorithm>
#include <cmath>

namespace aot {
namespace {

Fit with_residuals(Fit fit, const std::vector<double>& y) {
  double squares = 0;
  for (size_t n = 0; n < y.size(); ++n) {
    const double miss = std::abs(fit.curve[n] - y[n]);
    squares += miss * miss;
    fit.largest = std::max(fit.largest, miss);
  }
  fit.rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, y.size())));
  return fit;
}

double step_of(double y, double b) {
  return y / std::sqrt(y * y + b);
}

/// The best a for these steps from y under the pre-norm law with this b, and the squares that are left.
struct Steps {
  double a = 0, squares = 0;
};

Steps best_steps(const std::vector<double>& y, const std::vector<double>& steps, double b) {
  double along = 0, norm = 0, squares = 0;
  for (size_t n = 0; n < steps.size(); ++n) {
    const double step = step_of(y[n], b);
    along += steps[n] * step;
    norm += step * step;
    squares += steps[n] * steps[n];
  }
  return {along / norm, squares - along * along / norm};
}

std::vector<double> differences(const std::vector<double>& y) {
  std::vector<double> out;
  for (size_t n = 0; n + 1 < y.size(); ++n) out.push_back(y[n + 1] - y[n]);
  return out;
}

/// Where f is least on [low, high], by golden section.
template <class F>
double least(const F& f, double low, double high) {
  const double golden = (std::sqrt(5.0) - 1) / 2;
  for (int round = 0; round < 100; ++round) {
    const double left = high - golden * (high - low), right = low + golden * (high - low);
    if (f(left) < f(right))
      high = right;
    else
      low = left;
  }
  return (low + high) / 2;
}

/// The b with which the law leaves least of the steps, between 1e-4 and 1e4 of `scale`.
double best_b(const std::vector<double>& y, const std::vector<double>& steps, double scale) {
  const auto left = [&](double log_b) { return best_steps(y, steps, std::exp(log_b)).squares; };
  constexpr int kGrid = 64;  // scattered steps may leave several least values: the deepest on a grid is refined
  const double low = std::log(scale * 1e-4), width = std::log(1e8) / kGrid;
  int deepest = 0;
  for (int n = 1; n <= kGrid; ++n)
    if (left(low + n * width) < left(low + deepest * width)) deepest = n;
  return std::exp(least(left, low + std::max(0, deepest - 1) * width, low + std::min(kGrid, deepest + 1) * width));
}

}  // namespace

Fit fit_line(const std::vector<double>& y) {
  const auto count = static_cast<double>(y.size());
  double mean = 0, along = 0, norm = 0;
  for (const double value : y) mean += value / count;
  const double middle = (count + 1) / 2;
  for (size_t n = 0; n < y.size(); ++n) {
    const double x = static_cast<double>(n + 1) - middle;
    along += x * (y[n] - mean);
    norm += x * x;
  }
  Fit fit;
  fit.b = norm > 0 ? along / norm : 0;
  fit.a = mean - fit.b * middle;
  for (size_t n = 0; n < y.size(); ++n) fit.curve.push_back(fit.a + fit.b * static_cast<double>(n + 1));
  return with_residuals(std::move(fit), y);
}

Fit fit_geometric(const std::vector<double>& y) {
  const auto size_for = [&y](double log_ratio) {  // the best a for this ratio
    double along = 0, norm = 0;
    for (size_t n = 0; n < y.size(); ++n) {
      const double power = std::exp(log_ratio * static_cast<double>(n));
      along += power * y[n];
      norm += power * power;
    }
    return along / norm;
  };
  const auto squares = [&](double log_ratio) {
    const double size = size_for(log_ratio);
    double sum = 0;
    for (size_t n = 0; n < y.size(); ++n) sum += std::pow(size * std::exp(log_ratio * static_cast<double>(n)) - y[n], 2);
    return sum;
  };
  double low = 0, high = 0;  // the ratio lies between the extreme ratios of neighbours
  for (size_t n = 0; n + 1 < y.size(); ++n) {
    const double step = std::log(y[n + 1] / y[n]);
    low = n == 0 ? step : std::min(low, step);
    high = n == 0 ? step : std::max(high, step);
  }
  const double log_ratio = least(squares, low, high);
  Fit fit;
  fit.a = size_for(log_ratio);
  fit.b = std::exp(log_ratio);
  for (size_t n = 0; n < y.size(); ++n) fit.curve.push_back(fit.a * std::exp(log_ratio * static_cast<double>(n)));
  return with_residuals(std::move(fit), y);
}

Fit fit_prenorm(const std::vector<double>& y, double b) {
  Fit fit;
  fit.a = best_steps(y, differences(y), b).a;
  fit.b = b;
  double now = y.front();
  for (size_t n = 0; n < y.size(); ++n) {
    fit.curve.push_back(now);
    now += fit.a * step_of(now, b);
  }
  return with_residuals(std::move(fit), y);
}

Fit fit_prenorm(const std::vector<double>& y) {
  return fit_prenorm(y, best_b(y, differences(y), y.front() * y.front()));
}

Fit fit_prenorm_steps(const std::vector<double>& y, const std::vector<double>& steps) {
  double scale = 0;
  for (const double value : y) scale += value * value / static_cast<double>(y.size());
  Fit fit;
  fit.b = best_b(y, steps, scale);
  fit.a = best_steps(y, steps, fit.b).a;
  for (const double value : y) fit.curve.push_back(fit.a * step_of(value, fit.b));
  return with_residuals(std::move(fit), steps);
}

Fit fit_ratio_steps(const std::vector<double>& y, const std::vector<double>& steps) {
  return fit_scaled(steps, y);
}

Fit fit_constant_steps(const std::vector<double>& steps) {
  return fit_scaled(steps, std::vector<double>(steps.size(), 1));
}

Fit fit_scaled(const std::vector<double>& y, const std::vector<double>& x) {
  double along = 0, norm = 0;
  for (size_t n = 0; n < y.size(); ++n) {
    along += x[n] * y[n];
    norm += x[n] * x[n];
  }
  Fit fit;
  fit.a = along / norm;
  for (size_t n = 0; n < y.size(); ++n) fit.curve.push_back(fit.a * x[n]);
  return with_residuals(std::move(fit), y);
}

}  // namespace aot
