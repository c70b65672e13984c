// SPDX-License-Identifier: Apache-2.0
// The pictures and the table of figure_four.h.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "aot/core/svg.h"
#include "aot/theory/figure_four.h"

namespace aot {
namespace {

constexpr int kWidth = 620, kHeight = 360;

enum class Axis { plain, log };

std::vector<std::pair<double, double>> points_of(const std::vector<double>& y, Axis axis = Axis::plain) {
  std::vector<std::pair<double, double>> out;
  for (size_t n = 0; n < y.size(); ++n) out.emplace_back(static_cast<double>(n + 1), axis == Axis::log ? std::log(y[n]) : y[n]);
  return out;
}

std::string residual_text(const char* name, const Fit& fit) {
  return fmt::format("{} (misses by {:.2g})", name, fit.largest);
}

/// The curves through a row of points, with by how much each misses.
std::vector<Series> fits_of(const Fit& line, const Fit& geometric, const Fit& prenorm, Axis axis) {
  if (line.curve.empty()) return {};
  return {{.name = residual_text("line", line), .points = points_of(line.curve, axis), .dashed = true},
          {.name = residual_text("geometric", geometric), .points = points_of(geometric.curve, axis), .dashed = true},
          {.name = residual_text("pre-norm law", prenorm), .points = points_of(prenorm.curve, axis), .dashed = true}};
}

/// The paper's dots of that noise on the scale of the run; none when there is no such panel.
std::vector<double> scaled_dots(const ReadingRun& run) {
  std::vector<double> out;
  for (const PaperPanel& panel : paper_panels())
    if (panel.delta == run.delta)
      for (const double dot : panel.dots) out.push_back(dot / run.paper.a);
  return out;
}

std::string reading_chart(const ReadingRun& run, Axis axis) {
  Series dots{.name = "mean", .points = points_of(run.mean, axis), .dots = true, .line = false, .error = run.deviation};
  if (axis == Axis::log)
    for (size_t n = 0; n < dots.error.size(); ++n) dots.error[n] /= run.mean[n];  // to first order
  LineChart chart{.title = fmt::format("delta {:g}, {} of {} samples", run.delta, run.kept, run.exact_layers.size()),
                  .x_label = "layer index (1: input); bars: one standard deviation",
                  .y_label = axis == Axis::log ? "ln SNR" : "SNR",
                  .series = {dots},
                  .width = kWidth,
                  .height = kHeight};
  for (Series& fit : fits_of(run.line, run.geometric, run.prenorm, axis)) chart.series.push_back(std::move(fit));
  chart.series.push_back(
      {.name = "the paper's dots, scaled", .points = points_of(scaled_dots(run), axis), .dots = true, .line = false, .colour = 5});
  if (run.fitted < run.mean.size()) chart.verticals.push_back({"mask breaks", static_cast<double>(run.fitted)});
  return svg(chart);
}

std::string reading_picture(const std::vector<const ReadingRun*>& runs) {
  std::vector<std::string> charts;
  for (const ReadingRun* run : runs)
    for (const Axis axis : {Axis::plain, Axis::log}) charts.push_back(reading_chart(*run, axis));
  const std::string title = fmt::format("{}: {}", runs[0]->preset, runs[0]->summary);
  return svg_grid(title, charts, 2, kWidth, kHeight);
}

std::vector<double> regular_dots(const PaperPanel& panel) {
  return {panel.dots.begin(), panel.dots.begin() + static_cast<std::ptrdiff_t>(panel.regular)};
}

/// The paper's own dots with three curves, and how far each curve is from each dot.
std::string paper_picture() {
  std::vector<std::string> charts;
  for (const PaperPanel& panel : paper_panels()) {
    const std::vector<double> dots = regular_dots(panel);
    const Fit line = fit_line(dots), geometric = fit_geometric(dots), prenorm = fit_prenorm(dots);
    LineChart values{.title = fmt::format("delta {:g}", panel.delta),
                     .x_label = "layer index (1: input)",
                     .y_label = "SNR",
                     .series = {{.name = "dots", .points = points_of(panel.dots), .dots = true, .line = false}},
                     .width = kWidth,
                     .height = kHeight};
    for (Series& fit : fits_of(line, geometric, prenorm, Axis::plain)) values.series.push_back(std::move(fit));
    LineChart misses{.title = fmt::format("delta {:g}: curve minus dot", panel.delta),
                     .x_label = "layer index (1: input)",
                     .y_label = "SNR",
                     .series = {},
                     .levels = {{"", 0}},
                     .width = kWidth,
                     .height = kHeight};
    int colour = 0;  // the curves keep the colours that they have beside the dots
    for (const auto& [name, fit] : {std::pair{"line", &line}, {"geometric", &geometric}, {"pre-norm law", &prenorm}}) {
      std::vector<double> difference;
      for (size_t n = 0; n < dots.size(); ++n) difference.push_back(fit->curve[n] - dots[n]);
      misses.series.push_back({.name = name, .points = points_of(difference), .dots = true, .colour = ++colour});
    }
    charts.push_back(svg(values));
    charts.push_back(svg(misses));
  }
  return svg_grid("The paper's dots: constant differences, not constant ratios", charts, 2, kWidth, kHeight);
}

/// All readings beside the paper's dots, each divided by its first value, as logarithms: the theorem's grows and falls by more than others.
std::string compare_picture(const FigureFour& figure) {
  const auto relative = [](std::vector<double> y) {
    const double first = y.front();
    for (double& value : y) value = std::log(value / first);
    return y;
  };
  std::vector<std::string> charts;
  for (const PaperPanel& panel : paper_panels()) {
    LineChart chart{.title = fmt::format("delta {:g}", panel.delta),
                    .x_label = "layer index (1: input)",
                    .y_label = "ln (SNR / SNR of the input)",
                    .series = {{.name = "paper", .points = points_of(relative(panel.dots)), .dots = true, .line = false}},
                    .width = kWidth,
                    .height = kHeight + 60};
    for (const ReadingRun& run : figure.runs) {
      if (run.delta != panel.delta) continue;
      chart.series.push_back({.name = run.preset.substr(5), .points = points_of(relative(run.mean))});
    }
    charts.push_back(svg(chart));
  }
  return svg_grid("Four readings of the paper's figure beside its own dots", charts, 2, kWidth, kHeight + 60);
}

std::string table(const FigureFour& figure) {
  std::string out = "reading,delta,layer,mean,deviation,lowest,highest,line,geometric,prenorm,paper\n";
  const auto value = [](const std::vector<double>& values, size_t n) {
    return n < values.size() ? fmt::format("{:.10g}", values[n]) : std::string();
  };
  for (const ReadingRun& run : figure.runs)
    for (size_t n = 0; n < run.mean.size(); ++n) {
      const auto panel =
          std::find_if(paper_panels().begin(), paper_panels().end(), [&](const PaperPanel& p) { return p.delta == run.delta; });
      out += fmt::format("{},{:g},{},{},{},{},{},{},{},{},{}\n", run.preset, run.delta, n + 1, value(run.mean, n), value(run.deviation, n),
                         value(run.lowest, n), value(run.highest, n), value(run.line.curve, n), value(run.geometric.curve, n),
                         value(run.prenorm.curve, n), value(panel->dots, n));
    }
  return out;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> figure_files(const FigureFour& figure) {
  std::vector<std::pair<std::string, std::string>> files = {{"fig4-paper.svg", paper_picture()},
                                                            {"fig4-compare.svg", compare_picture(figure)}};
  std::vector<const ReadingRun*> group;
  for (size_t n = 0; n < figure.runs.size(); ++n) {
    group.push_back(&figure.runs[n]);
    if (n + 1 < figure.runs.size() && figure.runs[n + 1].preset == figure.runs[n].preset) continue;
    files.emplace_back(figure.runs[n].preset + ".svg", reading_picture(group));
    group.clear();
  }
  files.emplace_back("fig4.csv", table(figure));
  files.emplace_back("fig4.json", dump_json(figure_json(figure), 2) + "\n");
  return files;
}

}  // namespace aot
