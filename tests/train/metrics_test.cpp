// SPDX-License-Identifier: Apache-2.0
#include "aot/train/metrics.h"

#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

StepRow row_of(int64_t step) {
  return {.step = step, .loss = 0.1 + 0.2, .lr = 1e-3, .gradient_norm = 0.5, .units = 768 * step, .seconds = 1, .units_per_s = 768};
}

TEST(Metrics, RowsHoldExactValuesInBothFiles) {
  const TestFolder folder;
  MetricsLog log(folder.path(), {});
  log.step(row_of(10));
  log.validation(10, 2.5, 200, true);
  log.sample(10, "a\n\"b\"");
  EXPECT_EQ(folder.read("metrics.jsonl"),
            "{\"step\":10,\"loss\":0.30000000000000004,\"lr\":0.001,\"grad_norm\":0.5,\"tokens\":7680,\"seconds\":1.0,"
            "\"tokens_per_s\":768.0,\"data_wait\":0.0,\"peak_share\":0.0,\"memory_bytes\":0,\"fallbacks\":0.0}\n"
            "{\"step\":10,\"val_loss\":2.5,\"windows\":200,\"best\":true}\n"
            "{\"step\":10,\"sample\":\"a\\n\\\"b\\\"\"}\n");
  EXPECT_EQ(folder.read("metrics.csv"),
            "step,loss,lr,grad_norm,tokens,seconds,tokens_per_s,peak_share,memory_bytes,val_loss,data_wait,fallbacks\n"
            "10,0.30000000000000004,0.001,0.5,7680,1.0,768.0,0.0,0,,0.0,0.0\n"
            "10,,,,,,,,,2.5,,\n");
}

TEST(Metrics, AreCutBackToWhereACheckpointLeftThem) {
  const TestFolder folder;
  LogLengths lengths;
  std::string jsonl, csv;
  {
    MetricsLog log(folder.path(), {});
    log.step(row_of(1));
    lengths = log.sync();
    jsonl = folder.read("metrics.jsonl");
    csv = folder.read("metrics.csv");
    log.step(row_of(2));
  }
  MetricsLog log(folder.path(), lengths);
  EXPECT_EQ(folder.read("metrics.jsonl"), jsonl);
  EXPECT_EQ(folder.read("metrics.csv"), csv);
  log.step(row_of(1));
  EXPECT_EQ(folder.read("metrics.jsonl"), jsonl + jsonl);
}

TEST(Metrics, GoOnWhenAFileIsShorterThanTheCheckpointSays) {
  const TestFolder folder;
  MetricsLog log(folder.path(), {.jsonl = 1000, .csv = 1000});
  log.step(row_of(1));
  EXPECT_EQ(folder.read("metrics.jsonl").find("{\"step\":1,"), 0u);
  EXPECT_EQ(folder.read("metrics.csv").find("step,loss"), 0u);
}

TEST(Metrics, TellEachRowToTheListener) {
  const TestFolder folder;
  std::vector<std::string> lines;
  MetricsLog log(folder.path(), {}, "tokens", "windows", [&](const std::string& line) { lines.push_back(line); });
  log.step(row_of(3));
  log.validation(3, 1, 1, false);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0] + lines[1], folder.read("metrics.jsonl"));
}

TEST(AppendFile, TakesBackARowThatDoesNotFitAndGoesOn) {
  const TestFolder folder;
  AppendFile file(folder.path("rows"), 0);
  file.append("first\n");
  // A limit on file sizes fails like a full disk, half a row included.
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {.rlim_cur = 9, .rlim_max = before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  file.append("second\n");
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(file.length(), 6u);
  EXPECT_EQ(folder.read("rows"), "first\n");
  file.append("third\n");
  EXPECT_EQ(folder.read("rows"), "first\nthird\n");
}

TEST(AppendFile, IsARegularFileOfItsOwn) {
  const TestFolder folder;
  std::filesystem::create_symlink("/dev/null", folder.path("link"));
  expect_error(4, "cannot be opened", [&] { AppendFile(folder.path("link"), 0); });
  expect_error(4, "cannot be opened", [&] { AppendFile(folder.path("absent/rows"), 0); });
}

}  // namespace
}  // namespace aot
