// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/certificate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "aot/io/error.h"
#include "aot/theory/bases.h"

namespace aot {
namespace {

constexpr double kOrthonormal = 1e-12;

bool all_equal(const std::vector<int64_t>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [&](int64_t n) { return n == numbers.front(); });
}

std::vector<Hypothesis> hypotheses_of(const DenoiseOptions& o, const TokenSample& sample, const Certificate& c) {
  const TokenModelOptions& t = o.tokens;
  const LayerOptions& layer = o.layer;
  const int64_t dim = *std::min_element(sample.truth.dims.begin(), sample.truth.dims.end());
  const bool own_bases = sample.known.columns.is_same(sample.truth.columns) || sample.known.columns.equal(sample.truth.columns);
  const double tau_max = largest_tau(t.tokens, dim);
  return {
      {"phi is the threshold on softmax", layer.phi == Weighting::softmax_threshold, ""},
      {"scale c = 1", layer.scale == 1, fmt::format("c = {:g}", layer.scale)},
      {"no normalisation", layer.norm == NormKind::none && !layer.renormalize, ""},
      {"skip form", layer.form == LayerForm::skip, ""},
      {"p > (32/9) ln N", static_cast<double>(dim) > least_dimension(t.tokens),
       fmt::format("p = {}, bound {:.2f}", dim, least_dimension(t.tokens))},
      {"1/2 < tau <= 1 / (1 + N exp(-9 p / 32))", layer.tau > 0.5 && layer.tau <= tau_max,
       fmt::format("tau = {:g}, bound {:.6g}", layer.tau, tau_max)},
      {"bases orthonormal, also between subspaces", c.orthonormality <= kOrthonormal && c.incoherence <= kOrthonormal,
       fmt::format("largest error {:.2g} within, largest cosine {:.2g} between", c.orthonormality, c.incoherence)},
      {"the operator has the tokens' own bases", own_bases, ""},
      {"equal dimensions", all_equal(sample.truth.dims), fmt::format("{}", fmt::join(sample.truth.dims, ","))},
      {"equal clusters", all_equal(sample.cluster_sizes), fmt::format("{}", fmt::join(sample.cluster_sizes, ","))},
      {"tokens of Definition 1", t.between == 0 && t.tails == 0 && t.ambient == 0,
       fmt::format("between {:g}, tails {:g}, ambient {:g}", t.between, t.tails, t.ambient)},
  };
}

template <class Holds>
int64_t leading(const std::vector<LayerVerdict>& layers, const Holds& holds) {
  return std::find_if_not(layers.begin(), layers.end(), holds) - layers.begin();
}

}  // namespace

const char* verdict_text(Verdict verdict) {
  return verdict == Verdict::verified ? "verified" : verdict == Verdict::broken ? "broken" : "rate without mask";
}

int64_t Certificate::exact_layers() const {
  return leading(layers, [](const LayerVerdict& layer) { return layer.record.mask && layer.record.mask->exact; });
}

int64_t Certificate::verified_layers() const {
  return leading(layers, [](const LayerVerdict& layer) { return layer.verdict == Verdict::verified; });
}

std::string require_window(const DenoiseOptions& o) {
  const TokenModelShape shape = shape_of(o.tokens);
  const int64_t dim = *std::min_element(shape.dims.begin(), shape.dims.end()), tokens = o.tokens.tokens;
  const double bound = least_dimension(tokens), tau_max = largest_tau(tokens, dim), log_tokens = std::log(static_cast<double>(tokens));
  if (static_cast<double>(dim) <= bound)
    throw UsageError(
        fmt::format("no threshold satisfies the theorem: p = {} but N = {} needs p > (32/9) ln N = {:.2f}", dim, tokens, bound),
        "aot theory denoise runs it all the same");
  if (o.layer.tau <= 0.5 || o.layer.tau > tau_max)
    throw UsageError(
        fmt::format("--tau {:g} is outside the theorem's window (0.5, {:.10g}] for N = {}, p = {}", o.layer.tau, tau_max, tokens, dim),
        "aot theory denoise runs it all the same");
  if (static_cast<double>(dim) < 8 * log_tokens)
    return fmt::format("p = {} is inside the window, but below 8 ln N = {:.1f} own tokens often fail to pass in layer 1", dim,
                       8 * log_tokens);
  if (static_cast<double>(dim) < 10 * log_tokens && o.layer.tau > 0.99 * tau_max)
    return fmt::format("p = {} is below 10 ln N = {:.1f} with tau near its bound: own tokens may fail to pass in layer 1", dim,
                       10 * log_tokens);
  return "";
}

LayerVerdict judge_layer(LayerRecord record, double gamma) {
  LayerVerdict out;
  bool rate = true;
  for (size_t k = 0; k < record.ratio.size(); ++k) {
    const double error = std::abs(record.ratio[k] - gamma);
    out.ratio_error = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(out.ratio_error, error);
    rate = rate && error <= ratio_tolerance(record.after.clusters[k]);
  }
  const bool exact = record.mask && record.mask->exact;
  out.verdict = !rate ? Verdict::broken : exact ? Verdict::verified : Verdict::rate_without_mask;
  out.record = std::move(record);
  return out;
}

Certificate certify(const DenoiseOptions& o, uint64_t seed, const std::function<void(const LayerRecord&)>& seen) {
  if (o.layer.form == LayerForm::convex && o.layer.eta >= 1)
    throw UsageError(fmt::format("--eta {:g}: the convex form (1 - eta) z + eta Y needs a step below 1", o.layer.eta));
  TokenSample sample = sample_tokens(o.tokens, seed);
  Certificate out;
  out.seed = seed;
  out.gamma = ideal_gain(o.layer);
  out.prediction = predict_layers(o);
  out.orthonormality = orthonormality_error(sample.known);
  out.incoherence = incoherence(sample.known);
  out.cluster_sizes = sample.cluster_sizes;
  out.label_agreement = sample.label_agreement;
  out.hypotheses = hypotheses_of(o, sample, out);
  run_layers(sample, o, [&](const LayerRecord& record) {
    if (seen) seen(record);
    out.layers.push_back(judge_layer(record, out.gamma));
    return true;
  });
  return out;
}

}  // namespace aot
