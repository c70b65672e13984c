// SPDX-License-Identifier: Apache-2.0
// The pictures of probe_report.h.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "aot/core/svg.h"
#include "aot/theory/probe_report.h"

namespace aot {
namespace {

constexpr int kWidth = 560, kHeight = 380;
constexpr int kRandomColour = 4, kShuffledColour = 3;  // of the bands

using Runs = std::vector<const ProbedStage*>;
using Draws = std::function<const std::vector<double>&(const ProbedLayer&)>;

size_t layers_of(const Runs& runs) {
  return runs.front()->probe.layers.size();
}

/// From the least to the largest draw of any run; empty in a stack without draws.
Band band(const std::string& name, int colour, const Runs& runs, const Draws& draws) {
  Band out{.name = name, .low = {}, .high = {}, .colour = colour};
  for (size_t l = 0; l < layers_of(runs); ++l) {
    std::vector<double> values;
    for (const ProbedStage* run : runs) {
      const std::vector<double>& more = draws(run->probe.layers[l]);
      values.insert(values.end(), more.begin(), more.end());
    }
    if (values.empty()) return {};
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    out.low.emplace_back(static_cast<double>(l + 1), *low);
    out.high.emplace_back(static_cast<double>(l + 1), *high);
  }
  return out;
}

Series line(const std::string& name, const Runs& runs, const std::function<double(const ProbedLayer&)>& of) {
  Series out{.name = name, .points = {}, .dots = true};
  for (size_t l = 0; l < layers_of(runs); ++l) {
    const Interval interval = over_runs(runs, l, of);
    out.points.emplace_back(static_cast<double>(l + 1), interval.mean);
    out.error.push_back(std::isfinite(interval.half) ? interval.half : 0);
  }
  return out;
}

LineChart chart_of(const std::string& title, const char* y_label, Series series, std::vector<Band> bands) {
  LineChart chart{
      .title = title, .x_label = "layer", .y_label = y_label, .series = {std::move(series)}, .width = kWidth, .height = kHeight};
  for (Band& strip : bands)
    if (!strip.low.empty()) chart.bands.push_back(std::move(strip));
  return chart;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> probe_pictures(const ProbeResult& result) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const ProbeGroup& group : probe_groups(result)) {
    std::vector<std::string> charts;
    for (const auto& [name, runs] : group.stages) {
      const std::string title = stage_title(name, runs);
      charts.push_back(svg(chart_of(
          title, "SNR of the tokens that enter", line("own bases", runs, [](const ProbedLayer& l) { return l.before.snr(); }),
          {band("random bases", kRandomColour, runs, [](const ProbedLayer& l) -> const std::vector<double>& { return l.random.snr; }),
           band("other layers' bases", kShuffledColour, runs,
                [](const ProbedLayer& l) -> const std::vector<double>& { return l.shuffled.snr; })})));
      LineChart growth = chart_of(
          title, "growth of the SNR by the layer",
          line("own bases", runs, [](const ProbedLayer& l) { return l.after.snr() - l.before.snr(); }),
          {band("random bases", kRandomColour, runs, [](const ProbedLayer& l) -> const std::vector<double>& { return l.random.growth; }),
           band("other layers' bases", kShuffledColour, runs,
                [](const ProbedLayer& l) -> const std::vector<double>& { return l.shuffled.growth; })});
      growth.levels.push_back({"", 0});
      charts.push_back(svg(growth));
    }
    const size_t runs = group.stages.front().second.size();
    const std::string title = fmt::format("{} ({}), {} {}; bars: 95 % interval, bands: least to largest draw", group.name, group.subspaces,
                                          runs, runs == 1 ? "run" : "runs");
    files.emplace_back(fmt::format("probe-{}.svg", files.size() + 1), svg_grid(title, charts, 2, kWidth, kHeight));
  }
  return files;
}

}  // namespace aot
