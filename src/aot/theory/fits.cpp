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

/// The best a for the steps of y under the pre-norm law with this b, and the squares that are left.
struct Steps {
  double a = 0, squares = 0;
};

Steps best_steps(const std::vector<double>& y, double b) {
  double along = 0, norm = 0, squares = 0;
  for (size_t n = 0; n + 1 < y.size(); ++n) {
    const double wanted = y[n + 1] - y[n], step = step_of(y[n], b);
    along += wanted * step;
    norm += step * step;
    squares += wanted * wanted;
  }
  return {along / norm, squares - along * along / norm};
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
  fit.a = best_steps(y, b).a;
  fit.b = b;
  double now = y.front();
  for (size_t n = 0; n < y.size(); ++n) {
    fit.curve.push_back(now);
    now += fit.a * step_of(now, b);
  }
  return with_residuals(std::move(fit), y);
}

Fit fit_prenorm(const std::vector<double>& y) {
  const double scale = y.front() * y.front();
  const double log_b = least([&](double x) { return best_steps(y, std::exp(x)).squares; }, std::log(scale * 1e-4), std::log(scale * 1e4));
  return fit_prenorm(y, std::exp(log_b));
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
