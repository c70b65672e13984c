// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/figure_four.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "aot/theory/presets.h"

namespace aot {
namespace {

constexpr int64_t kPoints = 13;

/// Mean over clusters of the ratio at every point of one sample; how many leading layers have an exact mask, or -1.
std::pair<std::vector<double>, int64_t> trajectory(DenoiseOptions options, uint64_t seed) {
  options.layers = kPoints - 1;
  options.spectra = false;
  TokenSample sample = sample_tokens(options.tokens, seed);
  const auto mean = [](const TokenMeasures& measures) {
    double sum = 0;
    for (const ClusterMeasures& cluster : measures.clusters) sum += cluster.snr();
    return sum / static_cast<double>(measures.clusters.size());
  };
  std::vector<double> points = {mean(measure_tokens(sample.z, sample))};
  const bool has_mask = options.layer.phi == Weighting::softmax_threshold;
  int64_t exact = has_mask ? 0 : -1;
  run_layers(sample, options, [&](const LayerRecord& record) {
    points.push_back(mean(record.after));
    if (has_mask && record.mask->exact && exact == record.layer - 1) exact = record.layer;
    return true;
  });
  return {points, exact};
}

/// How long the mask of a sample must be exact for it to be kept.
int64_t lasting_layers(std::vector<int64_t> exact) {
  std::sort(exact.begin(), exact.end());
  return exact.back() == kPoints - 1 ? exact.back() : exact[(exact.size() - 1) / 2];
}

void take_moments(const std::vector<std::vector<double>>& samples, ReadingRun& run) {
  const auto count = static_cast<double>(samples.size());
  for (size_t n = 0; n < static_cast<size_t>(kPoints); ++n) {
    double sum = 0, squares = 0, low = samples[0][n], high = low;
    for (const std::vector<double>& points : samples) {
      sum += points[n];
      low = std::min(low, points[n]);
      high = std::max(high, points[n]);
    }
    for (const std::vector<double>& points : samples) squares += std::pow(points[n] - sum / count, 2);
    run.mean.push_back(sum / count);
    run.deviation.push_back(samples.size() > 1 ? std::sqrt(squares / (count - 1)) : 0);
    run.lowest.push_back(low);
    run.highest.push_back(high);
  }
}

void fit(ReadingRun& run) {
  const int64_t layers = lasting_layers(run.exact_layers);
  run.fitted = layers < 0 ? static_cast<size_t>(kPoints) : static_cast<size_t>(layers + 1);
  for (const PaperPanel& panel : paper_panels()) {
    if (panel.delta != run.delta) continue;
    const auto count = static_cast<std::ptrdiff_t>(panel.regular);
    run.paper = fit_scaled({panel.dots.begin(), panel.dots.begin() + count}, {run.mean.begin(), run.mean.begin() + count});
  }
  if (run.fitted < 3) return;  // two points lie on every curve
  const std::vector<double> points(run.mean.begin(), run.mean.begin() + static_cast<std::ptrdiff_t>(run.fitted));
  run.line = fit_line(points);
  run.geometric = fit_geometric(points);
  run.prenorm = fit_prenorm(points, 1);
}

Json fit_json(const Fit& fit) {
  if (fit.curve.empty()) return nullptr;
  return {{"a", fit.a}, {"b", fit.b}, {"rms", fit.rms}, {"largest", fit.largest}};
}

}  // namespace

const std::vector<PaperPanel>& paper_panels() {
  static const std::vector<PaperPanel> panels = {
      {0.2, {1.550, 1.643, 1.736, 1.829, 1.922, 2.016, 2.110, 2.204, 2.298, 2.392, 2.486, 2.580, 2.619}, 12},
      {0.5, {1.634, 1.720, 1.808, 1.897, 1.988, 2.079, 2.170, 2.263, 2.356, 2.449, 2.542, 2.636, 2.731}, 13},
  };
  return panels;
}

FigureFour run_figure_four(int64_t samples, uint64_t seed, const std::function<void(double)>& done) {
  FigureFour figure{.samples = samples};
  const std::vector<std::string> readings = {"fig4-theorem", "fig4-prenorm", "fig4-practical", "fig4-softmax"};
  double finished = 0;
  const double all = static_cast<double>(readings.size() * paper_panels().size()) * static_cast<double>(samples);
  for (const std::string& reading : readings)
    for (const PaperPanel& panel : paper_panels()) {
      DenoiseOptions options = find_theory_preset(reading, panel.delta).options;
      options.tokens.delta = panel.delta;
      ReadingRun run{.preset = reading, .summary = find_theory_preset(reading, {}).summary, .delta = panel.delta};
      std::vector<std::vector<double>> points;
      for (int64_t n = 0; n < samples; ++n) {
        auto [one, exact] = trajectory(options, seed + static_cast<uint64_t>(n));
        points.push_back(std::move(one));
        run.exact_layers.push_back(exact);
        done(++finished / all);
      }
      const int64_t lasting = lasting_layers(run.exact_layers);
      for (size_t n = points.size(); n-- > 0;)
        if (run.exact_layers[n] < lasting) points.erase(points.begin() + static_cast<std::ptrdiff_t>(n));
      run.kept = static_cast<int64_t>(points.size());
      take_moments(points, run);
      fit(run);
      figure.runs.push_back(std::move(run));
    }
  return figure;
}

Json figure_json(const FigureFour& figure) {
  Json out = {{"samples", figure.samples}};
  out["paper"] = Json::array();
  for (const PaperPanel& panel : paper_panels()) {
    const std::vector<double> dots(panel.dots.begin(), panel.dots.begin() + static_cast<std::ptrdiff_t>(panel.regular));
    out["paper"].push_back({{"delta", panel.delta},
                            {"dots", panel.dots},
                            {"regular", panel.regular},
                            {"line", fit_json(fit_line(dots))},
                            {"geometric", fit_json(fit_geometric(dots))},
                            {"prenorm", fit_json(fit_prenorm(dots, 1))},
                            {"prenorm_free", fit_json(fit_prenorm(dots))}});
  }
  out["runs"] = Json::array();
  for (const ReadingRun& run : figure.runs)
    out["runs"].push_back({{"preset", run.preset},
                           {"delta", run.delta},
                           {"mean", run.mean},
                           {"deviation", run.deviation},
                           {"exact_layers", run.exact_layers},
                           {"kept", run.kept},
                           {"fitted_points", run.fitted},
                           {"line", fit_json(run.line)},
                           {"geometric", fit_json(run.geometric)},
                           {"prenorm", fit_json(run.prenorm)},
                           {"paper_scaled", fit_json(run.paper)}});
  return out;
}

std::string figure_text(const FigureFour& figure) {
  std::string out = fmt::format("{:<16} {:>5}  {:>17}  {:>6}  {:>9} {:>9} {:>9}  {:>9}\n", "reading", "delta", "SNR, ends", "points",
                                "line", "geometric", "pre-norm", "paper");
  const auto miss = [](const Fit& fit) { return fit.curve.empty() ? std::string("-") : fmt::format("{:.2g}", fit.largest); };
  const auto line = [&](const std::string& name, double delta, double first, double last, size_t points, const std::string& rest) {
    out += fmt::format("{:<16} {:>5g}  {:>17}  {:>6}  {}\n", name, delta, fmt::format("{:.3f} - {:.3f}", first, last), points, rest);
  };
  for (const PaperPanel& panel : paper_panels()) {
    const std::vector<double> dots(panel.dots.begin(), panel.dots.begin() + static_cast<std::ptrdiff_t>(panel.regular));
    line("paper", panel.delta, dots.front(), dots.back(), dots.size(),
         fmt::format("{:>9} {:>9} {:>9}", miss(fit_line(dots)), miss(fit_geometric(dots)), miss(fit_prenorm(dots, 1))));
  }
  for (const ReadingRun& run : figure.runs)
    line(run.preset, run.delta, run.mean.front(), run.mean.back(), run.fitted,
         fmt::format("{:>9} {:>9} {:>9}  {:>9}", miss(run.line), miss(run.geometric), miss(run.prenorm), miss(run.paper)));
  return out +
         "line, geometric, pre-norm: largest distance of the curve from the points; paper: of the run, scaled, from the paper's dots\n";
}

}  // namespace aot
