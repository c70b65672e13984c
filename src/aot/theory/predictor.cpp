// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/predictor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace aot {
namespace {

constexpr double kMostLayers = 1e15;

}  // namespace

double least_dimension(int64_t tokens) {
  return 32.0 / 9 * std::log(static_cast<double>(tokens));
}

double largest_tau(int64_t tokens, int64_t dim) {
  return 1 / (1 + static_cast<double>(tokens) * std::exp(-9.0 * static_cast<double>(dim) / 32));
}

double critical_noise(int64_t tokens, int64_t clusters, double own, double tau) {
  const double all = static_cast<double>(tokens), end = std::sqrt(2 * std::log(own));
  const double largest = std::sqrt(2 * std::log(static_cast<double>(clusters - 1) * all * own));
  const auto passes = [&](double s) { return s * largest > std::log(own * std::exp(s * s / 2) + all - own) + std::log(tau / (1 - tau)); };
  constexpr int kSteps = 4096;  // the difference is concave in s: it may rise above 0 and fall again
  for (int n = 1; n <= kSteps; ++n) {
    double high = end * n / kSteps, low = end * (n - 1) / kSteps;
    if (!passes(high)) continue;
    for (int round = 0; round < 60; ++round) {
      const double middle = (low + high) / 2;
      (passes(middle) ? high : low) = middle;
    }
    return high;
  }
  return std::numeric_limits<double>::infinity();
}

bool has_formula(const LayerOptions& o) {
  return o.phi == Weighting::softmax_threshold && o.scale == 1 && o.norm == NormKind::none && !o.renormalize && o.form == LayerForm::skip;
}

Prediction predict_layers(const DenoiseOptions& o) {
  const TokenModelShape shape = shape_of(o.tokens);
  const double log_gain = std::log(ideal_gain(o.layer));
  Prediction out{.kind = Prediction::Kind::endless, .critical_size = std::numeric_limits<double>::infinity()};
  if (!has_formula(o.layer)) out.kind = Prediction::Kind::outside;
  for (size_t k = 0; k < shape.dims.size(); ++k) {
    const double own = shape.cluster_sizes.empty() ? static_cast<double>(o.tokens.tokens) / static_cast<double>(o.tokens.heads)
                                                   : static_cast<double>(shape.cluster_sizes[k]);
    const double first = o.tokens.delta * std::sqrt(static_cast<double>(shape.dims[k]));
    out.first_size = std::max(out.first_size, first);
    if (o.tokens.heads < 2 || first == 0 || !has_formula(o.layer)) continue;
    const double critical = critical_noise(o.tokens.tokens, o.tokens.heads, own, o.layer.tau);
    if (std::isinf(critical)) {
      if (out.kind == Prediction::Kind::endless) out.kind = Prediction::Kind::outside;
      continue;
    }
    const double count = first > critical ? 0 : 1 + std::floor(std::log(critical / first) / log_gain);
    if (!(count < kMostLayers)) continue;  // a step too small to matter
    const auto layers = static_cast<int64_t>(count);
    if (out.kind == Prediction::Kind::ends && *out.layers <= layers) continue;
    out.kind = Prediction::Kind::ends;
    out.layers = layers;
    out.critical_size = critical;
  }
  return out;
}

}  // namespace aot
