// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/linear_probe.h"

#include <cmath>
#include <deque>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr size_t kPairs = 10;
constexpr double kDecrease = 1e-4;  // Armijo's share of the predicted decrease
constexpr int kHalvings = 50;

double inner_product(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum().item<double>();
}

/// The objective divided by N, and its gradient, at w (classes, D + 1), whose last column is the bias.
class Objective {
 public:
  Objective(at::Tensor x, const at::Tensor& labels, int64_t classes, double penalty)
      : x_(std::move(x)), labels_(labels), count_(static_cast<double>(x_.size(0))), decay_(penalty / count_) {
    one_hot_ = at::zeros({x_.size(0), classes}, at::kDouble).scatter_(1, labels.unsqueeze(1), 1);
  }

  [[nodiscard]] std::pair<double, at::Tensor> operator()(const at::Tensor& w) const {
    const at::Tensor log_share = at::log_softmax(at::matmul(x_, w.t()), 1);  // (N, classes)
    const double loss = -(log_share * one_hot_).sum().item<double>() / count_;
    at::Tensor gradient = at::matmul((log_share.exp() - one_hot_).t(), x_) / count_;
    const at::Tensor weights = w.narrow(1, 0, w.size(1) - 1);
    gradient.narrow(1, 0, w.size(1) - 1).add_(weights, decay_);
    return {loss + decay_ / 2 * weights.square().sum().item<double>(), gradient};
  }

 private:
  at::Tensor x_, labels_, one_hot_;
  double count_, decay_;
};

/// Steps s and changes y of the gradient, newest last.
struct Pair {
  at::Tensor s, y;
  double rho = 0;
};

/// -H g, by the two loops over the pairs.
at::Tensor direction(const std::deque<Pair>& pairs, const at::Tensor& gradient) {
  at::Tensor q = gradient.clone();
  std::vector<double> alpha(pairs.size());
  for (size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].rho * inner_product(pairs[i].s, q);
    q -= alpha[i] * pairs[i].y;
  }
  if (!pairs.empty()) q *= 1 / (pairs.back().rho * inner_product(pairs.back().y, pairs.back().y));
  for (size_t i = 0; i < pairs.size(); ++i) q += (alpha[i] - pairs[i].rho * inner_product(pairs[i].y, q)) * pairs[i].s;
  return -q;
}

}  // namespace

std::optional<LinearProbe> fit_linear_probe(const PictureFeatures& train, int64_t classes, const LinearProbeOptions& options,
                                            bool progress) {
  const c10::NoGradGuard no_grad;
  const at::Tensor raw = train.features.to(at::kDouble), mean = raw.mean(0);                    // (N, D), (D,)
  const at::Tensor deviation = (raw - mean).square().mean(0).sqrt();                            // (D,)
  const at::Tensor scale = at::where(deviation > 1e-12, deviation, at::ones({}, at::kDouble));  // one that never changes becomes 0
  const at::Tensor x = (raw - mean) / scale;
  const Objective objective(at::cat({x, at::ones({x.size(0), 1}, at::kDouble)}, 1), train.labels, classes, options.penalty);

  std::optional<Progress> line;
  if (progress) line.emplace("fitting", 0, "iterations");
  at::Tensor w = at::zeros({classes, x.size(1) + 1}, at::kDouble);
  auto [value, gradient] = objective(w);
  std::deque<Pair> pairs;
  LinearProbe out;
  const auto steepest = [](const at::Tensor& g) { return g.abs().max().item<double>(); };
  while ((out.gradient = steepest(gradient)) > options.tolerance && out.iterations < options.iterations) {
    if (stop_signal() != 0) return std::nullopt;
    const at::Tensor step = direction(pairs, gradient);
    const double slope = inner_product(step, gradient);
    // The first step has no curvature to go by: at most 1 long.
    double length = pairs.empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1;
    at::Tensor next;
    std::pair<double, at::Tensor> there;
    int halvings = 0;
    for (; halvings < kHalvings; ++halvings, length /= 2) {
      next = w + length * step;
      there = objective(next);
      if (there.first <= value + kDecrease * length * slope) break;
    }
    if (halvings == kHalvings) break;  // the objective cannot be told from its neighbours any more
    Pair pair = {next - w, there.second - gradient, 0};
    // Convex, so the product is not negative; where rounding leaves nothing of it the pair says nothing.
    if (const double curvature = inner_product(pair.s, pair.y); curvature > 1e-300) {
      pair.rho = 1 / curvature;
      pairs.push_back(pair);
      if (pairs.size() > kPairs) pairs.pop_front();
    }
    w = next;
    value = there.first;
    gradient = there.second;
    ++out.iterations;
    if (line) line->update(static_cast<double>(out.iterations), str("objective ", value));
  }
  out.objective = value;
  out.converged = out.gradient <= options.tolerance;
  out.weight = w.narrow(1, 0, x.size(1)) / scale;
  out.bias = w.select(1, x.size(1)) - at::matmul(out.weight, mean);
  return out;
}

PictureScore score_linear_probe(const LinearProbe& probe, const PictureFeatures& val) {
  const at::Tensor logits = at::matmul(val.features.to(at::kDouble), probe.weight.t()) + probe.bias;  // (N, classes)
  PictureCount counted;
  counted.add(logits, val.labels, at::cross_entropy_loss(logits, val.labels, {}, at::Reduction::None));
  return counted.score();
}

}  // namespace aot
