// SPDX-License-Identifier: Apache-2.0
#include "aot/core/svg.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace aot {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Svg, TicksAreRoundAndInside) {
  EXPECT_EQ(round_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  const std::vector<double> ticks = round_ticks(1.1, 1.9, 4);
  ASSERT_EQ(ticks.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(ticks[i], 1.2 + 0.2 * static_cast<double>(i), 1e-12);
  EXPECT_TRUE(round_ticks(3, 3, 5).empty());
  EXPECT_TRUE(round_ticks(0, std::numeric_limits<double>::infinity(), 5).empty());
}

TEST(Svg, NamesAreEscaped) {
  const std::string chart = svg({.title = "<script>&\"", .series = {{"a<b", {{0, 1}, {1, 2}}}}});
  EXPECT_FALSE(contains(chart, "<script>"));
  EXPECT_TRUE(contains(chart, "&lt;script&gt;&amp;&quot;"));
  EXPECT_TRUE(contains(chart, "a&lt;b"));
}

TEST(Svg, BandsAreDrawnBehindTheSeriesNamedAndInsideTheFrame) {
  const std::string chart = svg({.title = "t",
                                 .series = {{"line", {{0, 1}, {1, 1}}}},
                                 .bands = {{.name = "spread", .low = {{0, -5}, {1, -5}}, .high = {{0, 9}, {1, 9}}}}});
  const size_t band = chart.find("fill-opacity"), line = chart.find("stroke-width=\"1.8\"");
  ASSERT_NE(band, std::string::npos);
  EXPECT_LT(band, line);
  EXPECT_TRUE(contains(chart, ">spread</text>"));
  EXPECT_TRUE(contains(chart, ">8</text>"));  // the axis covers it
}

TEST(Svg, BandsWithoutANameAreNotInTheLegend) {
  const Band band = {.name = "", .low = {{0, 0}, {1, 0}}, .high = {{0, 2}, {1, 2}}};
  const auto keys = [](const std::string& chart) {  // lines of the legend are the ones with an opacity
    size_t count = 0;
    for (size_t at = chart.find("stroke-opacity=\"1\""); at != std::string::npos; at = chart.find("stroke-opacity=\"1\"", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(keys(svg({.title = "t", .series = {{"line", {{0, 1}, {1, 1}}}}, .bands = {band}})), 1u);
  EXPECT_FALSE(
      contains(svg({.title = "t", .x_label = "x", .y_label = "y", .series = {{"line", {{0, 1}, {1, 1}}}}, .bands = {band}}), "></text>"));
}

TEST(Svg, PointsThatAreNotFiniteBreakTheLine) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string chart = svg({.title = "t", .series = {{"s", {{0, 1}, {1, nan}, {2, 3}}}}});
  EXPECT_FALSE(contains(chart, "nan"));
  const size_t path = chart.find("stroke-width=\"1.8\"");
  ASSERT_NE(path, std::string::npos);
  const size_t start = chart.rfind("<path d=\"", path);
  const std::string drawn = chart.substr(start, path - start);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 'M'), 2);
}

TEST(Svg, AChartWithoutPointsSaysSo) {
  EXPECT_TRUE(contains(svg({.title = "loss"}), "loss: no data"));
}

TEST(Svg, TheAxisCoversLevels) {
  const std::string chart = svg({.title = "t", .series = {{"s", {{0, 1}, {1, 2}}}}, .levels = {{"bigrams", 4}}});
  EXPECT_TRUE(contains(chart, "bigrams"));
  EXPECT_TRUE(contains(chart, ">4<"));
}

TEST(Svg, ErrorBarsAreInsideAndMarksNeedNoLine) {
  const std::string bars = svg({.series = {{.name = "a", .points = {{0, 1}, {1, 2}}, .error = {0.5, 10}}}});
  EXPECT_TRUE(contains(bars, ">10<"));  // the axis reaches the end of the longer bar
  EXPECT_FALSE(contains(svg({.series = {{.name = "a", .points = {{0, 1}, {1, 2}}, .dots = true, .line = false}}}), "stroke-width=\"1.8\""));
  EXPECT_TRUE(contains(svg({.series = {{"a", {{0, 1}, {4, 2}}}}, .verticals = {{"break", 2}}}), ">break<"));
}

TEST(Svg, HeatMapsShowCellsFramesAndOneBoundary) {
  const HeatMap map{.title = "m & n",
                    .x = {"1", "2"},
                    .y = {"a", "b"},
                    .values = {{0, 1}, {0.5, NAN}},
                    .texts = {{"p", "q"}, {"r", "s"}},
                    .inside = {{true, true}, {true, false}},
                    .marked = {{false, true}, {false, false}}};
  const std::string text = heat_map_svg(map);
  EXPECT_TRUE(contains(text, "m &amp; n"));
  EXPECT_TRUE(contains(text, "#ccc"));
  EXPECT_TRUE(contains(text, ">s<"));
  EXPECT_TRUE(contains(text, "#d00"));
  EXPECT_TRUE(contains(text, "stroke-width=\"3\""));
  const std::string grid = svg_grid("all", {text, text, text}, 2, map.width, map.height);
  EXPECT_TRUE(contains(grid, "translate(420 36)"));
  EXPECT_TRUE(contains(grid, "translate(0 356)"));
}

}  // namespace
}  // namespace aot
