// SPDX-License-Identifier: Apache-2.0
// Line charts and heat maps as self-contained SVG.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace aot {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // points that are not finite are left out and break the line
  bool dots = false;                              // a mark at every point, for few points
  bool line = true;                               // without: marks alone
  bool dashed = false;
  int colour = -1;            // place in the palette; -1: the place in the list
  std::vector<double> error;  // half the length of a bar at each point; empty: none
};

/// A strip between two lines, e.g. the spread of a baseline; drawn behind the series.
struct Band {
  std::string name;                                  // empty: not in the legend
  std::vector<std::pair<double, double>> low, high;  // as many points of both, at the same x
  int colour = 0;                                    // place in the palette
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
  std::vector<Level> verticals;   // the same upright, at x = `y`
  int width = 760, height = 420;  // pixels
  std::vector<Band> bands;
};

/// The chart as one <svg> element with white ground; text is escaped. A chart without finite points says so.
std::string svg(const LineChart& chart);

/// A grid of coloured cells. Rows go upwards: row 0 of `values` stands at the bottom.
struct HeatMap {
  std::string title, x_label, y_label;
  std::vector<std::string> x, y;                // what each column and row stands for
  std::vector<std::vector<double>> values;      // by row; cells that are not finite stay grey
  std::vector<std::vector<std::string>> texts;  // in the cells, or empty
  std::vector<std::vector<bool>> inside;        // a heavy line is drawn round the cells that are true; or empty
  std::vector<std::vector<bool>> marked;        // cells with a red frame, or empty
  double low = 0, high = 1;                     // the ends of the colours
  int width = 420, height = 320;                // pixels
};

std::string heat_map_svg(const HeatMap& map);

/// Charts of one size side by side, `columns` a row, as one <svg> element under a title.
std::string svg_grid(const std::string& title, const std::vector<std::string>& charts, int columns, int width, int height);

/// `text` with the five characters that HTML and SVG reserve replaced.
std::string escaped_html(const std::string& text);

/// About `count` round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace aot
