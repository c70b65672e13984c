// SPDX-License-Identifier: Apache-2.0
#include "aot/core/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace aot {
namespace {

// Okabe and Ito 2008: told apart with colour-blind eyes too.
constexpr std::array<const char*, 6> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  [[nodiscard]] bool empty() const { return low > high; }
  void widen(double share) {
    const double margin = high > low ? share * (high - low) : std::max(1.0, std::abs(low)) * 0.5;
    low -= margin;
    high += margin;
  }
};

struct Frame {
  double left, top, right, bottom;
  Range x, y;

  [[nodiscard]] double px(double value) const { return left + (value - x.low) / (x.high - x.low) * (right - left); }
  [[nodiscard]] double py(double value) const { return bottom - (value - y.low) / (y.high - y.low) * (bottom - top); }
};

std::string text_at(double x, double y, const char* anchor, const std::string& text, const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y, anchor, more, escaped_html(text));
}

std::string tick_text(double value) {
  return fmt::format("{:g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

std::string axes(const LineChart& chart, const Frame& f) {
  std::string out;
  for (const double tick : round_ticks(f.y.low, f.y.high, 6)) {
    out += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#e5e5e5\"/>\n", f.left, f.right, f.py(tick),
                       f.py(tick));
    out += text_at(f.left - 6, f.py(tick) + 4, "end", tick_text(tick));
  }
  for (const double tick : round_ticks(f.x.low, f.x.high, 7)) {
    out += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#888\"/>\n", f.px(tick), f.px(tick),
                       f.bottom, f.bottom + 4);
    out += text_at(f.px(tick), f.bottom + 18, "middle", tick_text(tick));
  }
  out += fmt::format("<path d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\" fill=\"none\" stroke=\"#888\"/>\n", f.left, f.top, f.bottom, f.right);
  out += text_at((f.left + f.right) / 2, f.bottom + 38, "middle", chart.x_label);
  const double middle = (f.top + f.bottom) / 2;
  out += text_at(16, middle, "middle", chart.y_label, fmt::format("transform=\"rotate(-90 16 {:.1f})\"", middle));
  out += text_at(f.left, f.top - 14, "start", chart.title, "font-size=\"15\" font-weight=\"600\"");
  return out;
}

std::string line_of(const Series& series, const Frame& f, const char* colour) {
  std::string path, marks;
  bool pen_down = false;
  for (const auto& [x, y] : series.points) {
    if (!std::isfinite(x) || !std::isfinite(y)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", f.px(x), f.py(y));
    pen_down = true;
    if (series.dots) marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", f.px(x), f.py(y), colour);
  }
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>\n", path, colour) + marks;
}

}  // namespace

std::string escaped_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::vector<double> round_ticks(double low, double high, int count) {
  const double raw = (high - low) / count;
  if (!(raw > 0) || !std::isfinite(raw)) return {};
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double factor = raw / power < 1.5 ? 1 : raw / power < 3.5 ? 2 : raw / power < 7.5 ? 5 : 10;
  const double step = factor * power;
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string svg(const LineChart& chart) {
  Frame f{64, 44, chart.width - 24.0, chart.height - 52.0, {}, {}};
  for (const Series& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      f.x.take(x);
      f.y.take(y);
    }
  }
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#333\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      chart.width, chart.height, escaped_html(chart.title));
  if (f.x.empty()) return out + text_at(chart.width / 2.0, chart.height / 2.0, "middle", chart.title + ": no data") + "</svg>\n";
  for (const Level& level : chart.levels) f.y.take(level.y);
  if (f.x.low == f.x.high) f.x.widen(0);
  f.y.widen(0.05);
  out += axes(chart, f);
  for (const Level& level : chart.levels) {
    if (!std::isfinite(level.y)) continue;
    out += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#777\" stroke-dasharray=\"5 4\"/>\n", f.left,
                       f.right, f.py(level.y), f.py(level.y));
    out += text_at(f.right, f.py(level.y) - 5, "end", level.name, "fill=\"#555\"");
  }
  for (size_t i = 0; i < chart.series.size(); ++i) out += line_of(chart.series[i], f, kColours[i % kColours.size()]);
  double legend_x = f.right;
  for (size_t i = chart.series.size(); i-- > 0;) {
    const std::string& name = chart.series[i].name;
    out += text_at(legend_x, f.top - 14, "end", name);
    legend_x -= 7.0 * static_cast<double>(name.size()) + 6;
    out += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"3\"/>\n", legend_x - 18,
                       legend_x, f.top - 18, f.top - 18, kColours[i % kColours.size()]);
    legend_x -= 34;
  }
  return out + "</svg>\n";
}

}  // namespace aot
