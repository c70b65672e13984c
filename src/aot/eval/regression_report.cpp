// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/regression_report.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "aot/core/svg.h"
#include "aot/io/json.h"

namespace aot {
namespace {

constexpr double kHighest = 2;  // of the picture
constexpr const char* kShownLasso = "lasso-0.01";

}  // namespace

std::string curve_rows(const std::vector<ErrorCurve>& curves) {
  std::string out;
  for (const ErrorCurve& curve : curves)
    for (size_t i = 0; i < curve.error.size(); ++i)
      out +=
          dump_json({{"examples", i}, {"model", curve.model}, {"error", curve.error[i]}, {"low", curve.low[i]}, {"high", curve.high[i]}}) +
          "\n";
  return out;
}

std::string curve_table(const std::vector<ErrorCurve>& curves) {
  std::string out = "| examples |", line = "|----------|";
  for (const ErrorCurve& curve : curves) {
    const size_t width = std::max<size_t>(curve.model.size(), 8);
    out += fmt::format(" {:>{}} |", curve.model, width);
    line += std::string(width + 1, '-') + ":|";
  }
  out += "\n" + line + "\n";
  const size_t points = curves.empty() ? 0 : curves.front().error.size();
  for (size_t i = 0; i < points; ++i) {
    out += fmt::format("| {:>8} |", i);
    for (const ErrorCurve& curve : curves) out += fmt::format(" {:>{}.4f} |", curve.error[i], std::max<size_t>(curve.model.size(), 8));
    out += "\n";
  }
  return out;
}

std::string curve_chart(const std::string& title, const std::vector<ErrorCurve>& curves, size_t networks) {
  LineChart chart{.title = title, .x_label = "examples in the prompt", .y_label = "squared error / E w.w, 5-95 % bands"};
  for (size_t c = 0; c < curves.size(); ++c) {
    const ErrorCurve& curve = curves[c];
    if (curve.model.rfind("lasso-", 0) == 0 && curve.model != kShownLasso) continue;
    const int colour = static_cast<int>(chart.series.size());
    Series series{.name = curve.model, .points = {}, .dashed = c >= networks, .colour = colour};
    Band band{.name = "", .low = {}, .high = {}, .colour = colour};
    for (size_t i = 0; i < curve.error.size(); ++i) {
      const auto examples = static_cast<double>(i);
      const bool shown = curve.error[i] <= kHighest;
      series.points.emplace_back(examples, shown ? curve.error[i] : std::numeric_limits<double>::quiet_NaN());
      band.low.emplace_back(examples, std::min(curve.low[i], kHighest));
      band.high.emplace_back(examples, std::min(curve.high[i], kHighest));
    }
    chart.series.push_back(std::move(series));
    chart.bands.push_back(std::move(band));
  }
  return svg(chart);
}

}  // namespace aot
