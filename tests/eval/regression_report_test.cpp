// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/regression_report.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "aot/io/json.h"

namespace aot {
namespace {

const std::vector<ErrorCurve> kCurves = {{"network", {1, 0.25}, {0.9, 0.2}, {1.1, 0.3}},
                                         {"averaging", {1, 6}, {0.9, 5}, {1.1, 7}},
                                         {"lasso-1", {1, 0.5}, {1, 0.5}, {1, 0.5}},
                                         {"lasso-0.01", {1, 0.125}, {1, 0.1}, {1, 0.2}}};

TEST(CurveReport, HasARowForEveryPoint) {
  const std::string rows = curve_rows(kCurves);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 8);
  const Json second = parse_json(rows.substr(rows.find('\n') + 1, rows.find('\n', rows.find('\n') + 1) - rows.find('\n') - 1), "rows");
  EXPECT_EQ(second, (Json{{"examples", 1}, {"model", "network"}, {"error", 0.25}, {"low", 0.2}, {"high", 0.3}}));
}

TEST(CurveReport, TheTableHasAColumnForEveryCurve) {
  EXPECT_EQ(curve_table(kCurves),
            "| examples |  network | averaging |  lasso-1 | lasso-0.01 |\n"
            "|----------|---------:|----------:|---------:|-----------:|\n"
            "|        0 |   1.0000 |    1.0000 |   1.0000 |     1.0000 |\n"
            "|        1 |   0.2500 |    6.0000 |   0.5000 |     0.1250 |\n");
}

TEST(CurveReport, ThePictureLeavesOutWhatIsFarAboveZeroAndAllLassosButOne) {
  const std::string picture = curve_chart("title", kCurves, 1);
  const auto has = [&](const char* words) { return picture.find(words) != std::string::npos; };
  EXPECT_TRUE(has(">network</text>") && has(">lasso-0.01</text>") && has(">averaging</text>"));
  EXPECT_FALSE(has(">lasso-1</text>"));
  EXPECT_FALSE(has(">6</text>")) << "the axis ends before";
}

}  // namespace
}  // namespace aot
