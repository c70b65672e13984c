// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/sweep.h"

#include <gtest/gtest.h>

#include "aot/core/device.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "tests/support/files.h"

namespace aot {
namespace {

SweepOptions small() {
  return {.tokens = "32,64",
          .heads = "2",
          .head_dims = "10ln,17",
          .deltas = "0.05,0.1",
          .taus = "0.75",
          .etas = "0.5",
          .seeds = 2,
          .layers = 12};
}

std::vector<SweepRow> all_rows(const SweepOptions& options, uint64_t seed, const std::vector<SweepRow>& done = {}) {
  std::vector<SweepRow> rows = done;
  run_sweep(open_rows(sweep_grid(options), options, seed, done), [&rows](const SweepRow& row) { rows.push_back(row); });
  return rows;
}

TEST(Sweep, TheGridIsWhatLiesInTheWindow) {
  const std::vector<SweepSetting> grid = sweep_grid(small());
  ASSERT_EQ(grid.size(), 6u);       // tau = 0.75 is inside the window of p = 17 for N = 32 only
  EXPECT_EQ(grid[0].head_dim, 35);  // ceil(10 ln 32)
  EXPECT_EQ(grid[2].head_dim, 17);
  EXPECT_EQ(grid[4].tokens, 64);
  EXPECT_EQ(grid[4].head_dim, 42);
  const auto refused = [](SweepOptions options) { EXPECT_THROW((void)sweep_grid(options), UsageError); };
  refused({.tokens = ""});
  refused({.tokens = "64.5"});
  refused({.head_dims = "ln"});
  refused({.head_dims = "xln"});
  refused({.deltas = "0.1,-0.2"});
  refused({.taus = "1"});
  refused({.etas = "nan"});
  refused({.head_dims = "2"});
}

TEST(Sweep, RowsAreThoseOfSingleRunsAndGoOnWhereTheyStopped) {
  set_threads(2);
  const std::vector<SweepRow> rows = all_rows(small(), 5);
  ASSERT_EQ(rows.size(), 12u);
  for (const SweepRow& row : rows) {
    const SweepSetting& s = row.setting;
    EXPECT_EQ(row.exact_layers,
              count_exact_layers({.tokens = {.tokens = s.tokens, .heads = s.heads, .head_dim = s.head_dim, .delta = s.delta},
                                  .layer = {.eta = s.eta, .tau = s.tau},
                                  .layers = 12,
                                  .spectra = false},
                                 row.seed));
  }
  SweepOptions other = small();
  other.deltas = "0.05,0.2";
  EXPECT_EQ(open_rows(sweep_grid(other), other, 5, rows).size(), 6u) << "rows of another grid do not count";
  EXPECT_EQ(open_rows(sweep_grid(small()), small(), 6, rows).size(), 6u) << "nor do other seeds";
  const std::vector<SweepRow> half(rows.begin(), rows.begin() + 7), again = all_rows(small(), 5, half);
  ASSERT_EQ(again.size(), 12u);
  const auto before = collect(sweep_grid(small()), rows, small(), 5), after = collect(sweep_grid(small()), again, small(), 5);
  ASSERT_EQ(before.size(), 6u);
  for (size_t n = 0; n < 6; ++n) {
    EXPECT_EQ(before[n].median, after[n].median);
    EXPECT_EQ(before[n].seeds, 2);
  }
  SweepOptions longer = small();
  longer.layers = 13;
  EXPECT_EQ(all_rows(longer, 5, half).size(), 7u + 12u) << "rows that ran fewer layers do not count";
}

TEST(Sweep, AFileOfRowsReadsBackAndACutLineIsDropped) {
  const TestFolder folder;
  const std::string path = folder.path("rows.jsonl");
  EXPECT_TRUE(read_rows(path).empty());
  const SweepRow row{{64, 2, 42, 0.1, 0.75, 0.2}, 7, 30, 9};
  const std::string line = dump_json(row_json(row)) + "\n";
  write_file_atomically(path, line + line.substr(0, 20));
  const std::vector<SweepRow> rows = read_rows(path);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(dump_json(row_json(rows[0])), dump_json(row_json(row)));
  write_file_atomically(path, "{\"tokens\":1}\n");
  EXPECT_THROW((void)read_rows(path), FileError);
  write_file_atomically(path, "no json\n");
  EXPECT_THROW((void)read_rows(path), FileError);
}

TEST(Sweep, TheBoundIsAFactorInTheGain) {
  SweepCell cell{.setting = {64, 2, 50, 0.1, 0.75, 0.1}, .prediction = {.layers = 20}, .median = 23};
  EXPECT_FALSE(cell.missed());  // 0.25 / ln 1.075 = 3.46 layers
  cell.median = 24;
  EXPECT_TRUE(cell.missed());
  EXPECT_TRUE(cell.comparable());
  cell.setting.head_dim = 41;  // below 10 ln 64
  EXPECT_FALSE(cell.comparable());
  cell.prediction.layers.reset();
  EXPECT_FALSE(cell.missed());
}

TEST(Sweep, PredictionsAreWithinTheBoundAtEveryStepSize) {
  const SweepOptions options{.tokens = "64", .heads = "2", .head_dims = "10ln", .deltas = "0.02,0.05,0.1", .taus = "0.75"};
  const std::vector<SweepCell> cells = collect(sweep_grid(options), all_rows(options, 1), options, 1);
  ASSERT_EQ(cells.size(), 12u);
  const Json summary = sweep_summary(cells);
  ASSERT_EQ(summary.size(), 4u);
  for (const Json& row : summary) {
    EXPECT_EQ(row["comparable"], 3) << row["eta"];
    EXPECT_GE(row["share_within"].get<double>(), 0.9) << row["eta"];
    EXPECT_TRUE(row["misses"].empty());
  }
}

TEST(Sweep, NamesTheSettingsThatThePredictionMisses) {
  const SweepCell near{.setting = {64, 2, 50, 0.1, 0.75, 0.1}, .prediction = {.layers = 20}, .median = 21},
      far{.setting = {64, 4, 50, 0.1, 0.75, 0.1}, .prediction = {.layers = 20}, .median = 25.5};
  const Json summary = sweep_summary({near, far});
  ASSERT_EQ(summary[0]["misses"].size(), 1u);
  EXPECT_EQ(summary[0]["missed"], 1);
  EXPECT_EQ(summary[0]["misses"][0]["heads"], 4);
  EXPECT_EQ(summary[0]["misses"][0]["median"], 25.5);
  EXPECT_EQ(summary[0]["misses"][0]["predicted"], 20);
  EXPECT_NE(sweep_text(summary).find("missed: N 64, K 4, p 50, delta 0.1, tau 0.75, eta 0.1: 25.5 layers, predicted 20\n"),
            std::string::npos);
}

TEST(Sweep, WritesATableASummaryAndMaps) {
  const auto files = sweep_files(collect(sweep_grid(small()), all_rows(small(), 5), small(), 5));
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].first, "sweep.csv");
  EXPECT_EQ(files[2].first, "map-1.svg");
  EXPECT_NE(files[2].second.find("N 32, K 2, p 17, tau 0.75"), std::string::npos);
  const Json summary = Json::parse(files[1].second);
  EXPECT_EQ(summary[0]["settings"], 6);
}

}  // namespace
}  // namespace aot
