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

constexpr double kBandOpacity = 0.25;
constexpr const char* kDashes = " stroke-dasharray=\"6 4\"";

const char* colour_of(const std::vector<Series>& series, size_t i) {
  return kColours[(series[i].colour >= 0 ? static_cast<size_t>(series[i].colour) : i) % kColours.size()];
}

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

std::string error_bar(double x, double y, double half, const Frame& f, const char* colour) {
  return fmt::format(
      "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}H{4:.1f}M{3:.1f} {2:.1f}H{4:.1f}\" stroke=\"{5}\" stroke-width=\"1\"/>\n", f.px(x),
      f.py(y - half), f.py(y + half), f.px(x) - 3, f.px(x) + 3, colour);
}

std::string line_of(const Series& series, const Frame& f, const char* colour) {
  std::string path, marks;
  bool pen_down = false;
  for (size_t i = 0; i < series.points.size(); ++i) {
    const auto& [x, y] = series.points[i];
    if (!std::isfinite(x) || !std::isfinite(y)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", f.px(x), f.py(y));
    pen_down = true;
    if (series.dots) marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", f.px(x), f.py(y), colour);
    if (!series.error.empty() && series.error[i] > 0) marks += error_bar(x, y, series.error[i], f, colour);
  }
  if (!series.line) return marks;
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"{}/>\n", path, colour,
                     series.dashed ? kDashes : "") +
         marks;
}

/// The corner of the frame in which a box of this size covers the fewest points: its left upper point.
std::pair<double, double> emptiest_corner(const LineChart& chart, const Frame& f, double width, double height) {
  std::pair<double, double> best;
  size_t fewest = std::numeric_limits<size_t>::max();
  for (const double top : {f.top + 4, f.bottom - height - 4})
    for (const double left : {f.left + 8, f.right - width - 8}) {
      size_t covered = 0;
      const auto count = [&](const std::vector<std::pair<double, double>>& points) {
        for (const auto& [x, y] : points) {
          const double px = f.px(x), py = f.py(y);
          covered += px > left - 8 && px < left + width + 8 && py > top - 8 && py < top + height + 8 ? 1 : 0;
        }
      };
      for (const Series& series : chart.series) count(series.points);
      for (const Band& band : chart.bands)
        for (const auto* edge : {&band.low, &band.high}) count(*edge);
      if (covered >= fewest) continue;
      fewest = covered;
      best = {left, top};
    }
  return best;
}

std::string band_of(const Band& band, const Frame& f) {
  std::string path;
  const auto add = [&](const std::pair<double, double>& point) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", f.px(point.first), f.py(point.second));
  };
  for (const auto& point : band.low) add(point);
  for (auto point = band.high.rbegin(); point != band.high.rend(); ++point) add(*point);
  const char* colour = kColours[static_cast<size_t>(band.colour) % kColours.size()];
  return fmt::format("<path d=\"{0}Z\" fill=\"{1}\" fill-opacity=\"{2}\" stroke=\"{1}\" stroke-opacity=\"{2}\"/>\n", path, colour,
                     kBandOpacity);
}

struct LegendEntry {
  std::string name;
  const char* colour;
  double opacity, thickness;
  bool dashed = false;
};

std::vector<LegendEntry> legend_entries(const LineChart& chart) {
  std::vector<LegendEntry> out;
  for (size_t i = 0; i < chart.series.size(); ++i)
    out.push_back({chart.series[i].name, colour_of(chart.series, i), 1, 3, chart.series[i].dashed});
  for (const Band& band : chart.bands)
    if (!band.name.empty()) out.push_back({band.name, kColours[static_cast<size_t>(band.colour) % kColours.size()], kBandOpacity, 10});
  return out;
}

/// Beside the title when there is room, else a line for each series in a corner.
std::string legend(const LineChart& chart, const Frame& f) {
  constexpr double kLetter = 7, kKey = 18, kGap = 40, kLine = 16;
  const std::vector<LegendEntry> entries = legend_entries(chart);
  double beside_width = 9 * static_cast<double>(chart.title.size()) + 20, widest = 0;
  for (const LegendEntry& entry : entries) {
    const double text = kLetter * static_cast<double>(entry.name.size());
    beside_width += text + kGap;
    widest = std::max(widest, text + kKey + 6);
  }
  const bool beside = beside_width <= f.right - f.left;
  const auto [left, top] = emptiest_corner(chart, f, widest, kLine * static_cast<double>(entries.size()));
  std::string out;
  double right = f.right, line = top + 8;
  for (size_t n = 0; n < entries.size(); ++n) {
    const size_t i = beside ? entries.size() - 1 - n : n;
    const std::string& name = entries[i].name;
    const double text = kLetter * static_cast<double>(name.size()) + 6;
    const double x = beside ? right - text - kKey : left, y = beside ? f.top - 18 : line;
    out += fmt::format(
        "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{:g}\" stroke-opacity=\"{:g}\"{}/>\n",
        x, x + kKey, y, y, entries[i].colour, entries[i].thickness, entries[i].opacity, entries[i].dashed ? kDashes : "");
    out += beside ? text_at(right, y + 4, "end", name) : text_at(x + kKey + 6, y + 4, "start", name);
    right -= text + kKey + 16;
    line += kLine;
  }
  return out;
}

std::string opening(int width, int height, const std::string& title) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#333\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      width, height, escaped_html(title));
}

/// From light to dark, monotone in lightness, so that it prints in grey: the ends of Brewer's "YlGnBu".
std::string cell_colour(double share) {
  constexpr std::array<std::array<double, 3>, 5> kStops = {{{255, 255, 217}, {199, 233, 180}, {65, 182, 196}, {34, 94, 168}, {8, 29, 88}}};
  const double at = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
  const auto stop = std::min(static_cast<size_t>(at), kStops.size() - 2);
  const double rest = at - static_cast<double>(stop);
  const auto mixed = [&](size_t c) { return static_cast<int>(std::lround(kStops[stop][c] * (1 - rest) + kStops[stop + 1][c] * rest)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mixed(0), mixed(1), mixed(2));
}

/// The heavy line: edges between a cell that is inside and one that is not.
std::string boundary(const HeatMap& map, double left, double bottom, double cell_width, double cell_height) {
  const auto inside = [&](size_t row, size_t column) { return map.inside[row][column]; };
  std::string path;
  for (size_t row = 0; row < map.inside.size(); ++row)
    for (size_t column = 0; column < map.inside[row].size(); ++column) {
      const double x = left + static_cast<double>(column + 1) * cell_width, y = bottom - static_cast<double>(row + 1) * cell_height;
      if (column + 1 < map.inside[row].size() && inside(row, column) != inside(row, column + 1))
        path += fmt::format("M{:.1f} {:.1f}v{:.1f}", x, y, cell_height);
      if (row + 1 < map.inside.size() && inside(row, column) != inside(row + 1, column))
        path += fmt::format("M{:.1f} {:.1f}h{:.1f}", x, y, -cell_width);
    }
  return path.empty() ? ""
                      : fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"#000\" stroke-width=\"3\" stroke-linecap=\"square\"/>\n", path);
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
    for (size_t i = 0; i < series.points.size(); ++i) {
      const auto& [x, y] = series.points[i];
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      f.x.take(x);
      const double half = series.error.empty() || !std::isfinite(series.error[i]) ? 0 : series.error[i];
      f.y.take(y - half);
      f.y.take(y + half);
    }
  }
  for (const Band& band : chart.bands)
    for (const auto* edge : {&band.low, &band.high})
      for (const auto& [x, y] : *edge) {
        f.x.take(x);
        f.y.take(y);
      }
  std::string out = opening(chart.width, chart.height, chart.title);
  if (f.x.empty()) return out + text_at(chart.width / 2.0, chart.height / 2.0, "middle", chart.title + ": no data") + "</svg>\n";
  for (const Level& level : chart.levels) f.y.take(level.y);
  if (f.x.low == f.x.high) f.x.widen(0);
  f.y.widen(0.05);
  out += axes(chart, f);
  for (const Band& band : chart.bands) out += band_of(band, f);
  for (const Level& level : chart.levels) {
    if (!std::isfinite(level.y)) continue;
    out += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#777\" stroke-dasharray=\"5 4\"/>\n", f.left,
                       f.right, f.py(level.y), f.py(level.y));
    out += text_at(f.right, f.py(level.y) - 5, "end", level.name, "fill=\"#555\"");
  }
  for (const Level& vertical : chart.verticals) {
    if (!(vertical.y >= f.x.low && vertical.y <= f.x.high)) continue;
    out += fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#777\" stroke-dasharray=\"2 4\"/>\n",
                       f.px(vertical.y), f.top, f.bottom);
    out += text_at(f.px(vertical.y) + 4, f.bottom - 6, "start", vertical.name, "fill=\"#555\"");
  }
  for (size_t i = 0; i < chart.series.size(); ++i) out += line_of(chart.series[i], f, colour_of(chart.series, i));
  return out + legend(chart, f) + "</svg>\n";
}

std::string heat_map_svg(const HeatMap& map) {
  const double left = 70, top = 40, right = map.width - 14.0, bottom = map.height - 52.0;
  const double cell_width = (right - left) / static_cast<double>(map.x.size()),
               cell_height = (bottom - top) / static_cast<double>(map.y.size());
  std::string out =
      opening(map.width, map.height, map.title) + text_at(left, top - 14, "start", map.title, "font-size=\"13\" font-weight=\"600\"");
  std::string frames;
  for (size_t row = 0; row < map.y.size(); ++row) {
    const double y = bottom - static_cast<double>(row + 1) * cell_height;
    out += text_at(left - 6, y + cell_height / 2 + 4, "end", map.y[row]);
    for (size_t column = 0; column < map.x.size(); ++column) {
      const double x = left + static_cast<double>(column) * cell_width, value = map.values[row][column];
      const double share = (value - map.low) / (map.high - map.low);
      const std::string box =
          fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"", x, y, cell_width, cell_height);
      out += fmt::format("{} fill=\"{}\" stroke=\"#fff\"/>\n", box, std::isfinite(value) ? cell_colour(share) : "#ccc");
      if (!map.texts.empty())
        out += text_at(x + cell_width / 2, y + cell_height / 2 + 4, "middle", map.texts[row][column], share > 0.55 ? "fill=\"#fff\"" : "");
      if (!map.marked.empty() && map.marked[row][column])
        frames += fmt::format(
            "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"none\" stroke=\"#d00\" stroke-width=\"2\"/>\n",
            x + 3, y + 3, cell_width - 6, cell_height - 6);
    }
  }
  for (size_t column = 0; column < map.x.size(); ++column)
    out += text_at(left + (static_cast<double>(column) + 0.5) * cell_width, bottom + 16, "middle", map.x[column]);
  out += text_at((left + right) / 2, bottom + 36, "middle", map.x_label);
  const double middle = (top + bottom) / 2;
  out += text_at(14, middle, "middle", map.y_label, fmt::format("transform=\"rotate(-90 14 {:.1f})\"", middle));
  return out + boundary(map, left, bottom, cell_width, cell_height) + frames + "</svg>\n";
}

std::string svg_grid(const std::string& title, const std::vector<std::string>& charts, int columns, int width, int height) {
  constexpr int kTitle = 36;
  const auto count = static_cast<int>(charts.size());
  const int rows = (count + columns - 1) / columns;
  std::string out =
      opening(columns * width, rows * height + kTitle, title) + text_at(16, 24, "start", title, "font-size=\"16\" font-weight=\"600\"");
  for (int i = 0; i < count; ++i)
    out += fmt::format("<g transform=\"translate({} {})\">\n{}</g>\n", i % columns * width, i / columns * height + kTitle,
                       charts[static_cast<size_t>(i)]);
  return out + "</svg>\n";
}

}  // namespace aot
