// SPDX-License-Identifier: Apache-2.0
// Line charts as self-contained SVG.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace aot {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // points that are not finite are left out and break the line
  bool dots = false;                              // a mark at every point, for few points
};

/// A horizontal line with its name at the right end, e.g. a baseline.
struct Level {
  std::string name;
  double y = 0;
};

struct LineChart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  std::vector<Level> levels;
  int width = 760, height = 420;  // pixels
};

/// The chart as one <svg> element with white ground; text is escaped. A chart without finite points says so.
std::string svg(const LineChart& chart);

/// `text` with the five characters that HTML and SVG reserve replaced.
std::string escaped_html(const std::string& text);

/// About `count` round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace aot
