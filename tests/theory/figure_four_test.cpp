// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/figure_four.h"

#include <cmath>

#include <gtest/gtest.h>

namespace aot {
namespace {

TEST(Fits, AreExactOnTheirOwnCurves) {
  std::vector<double> line, geometric, prenorm = {1.2};
  for (int n = 1; n <= 9; ++n) {
    line.push_back(3 - 0.25 * n);
    geometric.push_back(2 * std::pow(1.1, n - 1));
  }
  for (int n = 1; n < 9; ++n) prenorm.push_back(prenorm.back() + 0.3 * prenorm.back() / std::sqrt(prenorm.back() * prenorm.back() + 0.7));
  const Fit a = fit_line(line), b = fit_geometric(geometric), c = fit_prenorm(prenorm);
  EXPECT_NEAR(a.a, 3, 1e-12);
  EXPECT_NEAR(a.b, -0.25, 1e-12);
  EXPECT_LT(a.largest, 1e-12);
  EXPECT_NEAR(b.a, 2, 1e-6);
  EXPECT_NEAR(b.b, 1.1, 1e-7);
  EXPECT_LT(b.largest, 1e-5);
  EXPECT_NEAR(c.a, 0.3, 1e-4);
  EXPECT_NEAR(c.b, 0.7, 1e-3);
  EXPECT_GT(fit_line(geometric).largest, 0.05);
  EXPECT_GT(fit_geometric(line).largest, 0.05);
  EXPECT_NEAR(fit_scaled({2, 4, 6}, {1, 2, 3}).a, 2, 1e-12);
  EXPECT_NEAR(fit_scaled({1, 1}, {1, 0}).rms, std::sqrt(0.5), 1e-12);
}

TEST(FigureFour, ThePapersDotsHaveConstantDifferences) {
  for (const PaperPanel& panel : paper_panels()) {
    ASSERT_EQ(panel.dots.size(), 13u);
    const std::vector<double> dots(panel.dots.begin(), panel.dots.begin() + static_cast<std::ptrdiff_t>(panel.regular));
    EXPECT_LT(4 * fit_line(dots).largest, fit_geometric(dots).largest);
    EXPECT_LT(fit_prenorm(dots).largest, fit_line(dots).largest);
  }
}

TEST(FigureFour, ReadingsBehaveAsTheirLayersDo) {
  const FigureFour figure = run_figure_four(2, 3, [](double) {});
  ASSERT_EQ(figure.runs.size(), 8u);
  for (const ReadingRun& run : figure.runs) {
    EXPECT_EQ(run.mean.size(), 13u);
    EXPECT_EQ(run.exact_layers.size(), 2u);
    if (run.preset == "fig4-theorem" && run.delta == 0.2) {
      EXPECT_NEAR(run.geometric.b, 1 + 0.5 * 0.9999, 1e-6);  // exact until the mask breaks
      EXPECT_LT(run.fitted, 13u);
    }
    if (run.preset == "fig4-theorem" && run.delta == 0.5) {
      EXPECT_EQ(run.fitted, 1u) << "the hypothesis fails at once";
    }
    if (run.preset == "fig4-prenorm") {
      EXPECT_EQ(run.fitted, 13u);
      EXPECT_LT(run.line.largest, run.geometric.largest);
      EXPECT_LT(run.prenorm.largest, 0.01);
    }
    if (run.preset == "fig4-softmax") {
      EXPECT_LT(run.mean.back(), run.mean.front());
    }
  }
  const auto files = figure_files(figure);
  EXPECT_EQ(files.size(), 8u);
  for (const auto& [name, content] : files) {
    EXPECT_GT(content.size(), 500u) << name;
    const bool reading = name.ends_with(".svg") && name != "fig4-paper.svg" && name != "fig4-compare.svg";
    EXPECT_EQ(content.find("dots, scaled") != std::string::npos, reading) << name;
  }
}

}  // namespace
}  // namespace aot
