// SPDX-License-Identifier: Apache-2.0
#include "aot/data/loader.h"

#include <numeric>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

/// A file that holds 0, 1, 2, ..., so that a token is its own position.
std::string counting_file(const TestFolder& folder, size_t tokens) {
  std::vector<uint16_t> values(tokens);
  std::iota(values.begin(), values.end(), uint16_t{0});
  return folder.write("x.bin", {reinterpret_cast<const char*>(values.data()), values.size() * 2});
}

TEST(BatchLoader, RowsAreTheWindowsOfTheirStep) {
  const TestFolder folder;
  const TokenFile file(counting_file(folder, 1000), 2, 1000);
  BatchLoader loader(file, {.seed = 3, .first_step = 7, .rows = 4, .length = 9});
  for (int64_t step = 7; step < 107; ++step) {
    const int64_t* tokens = loader.next();
    for (int64_t row = 0; row < 4; ++row)
      for (int64_t i = 0; i < 9; ++i) ASSERT_EQ(tokens[row * 9 + i], window_start(3, step, row, 1000, 9) + i) << step << " " << row;
  }
}

TEST(BatchLoader, AnErrorReachesTheConsumerAfterTheStepsBeforeIt) {
  const TestFolder folder;
  const TokenFile file(counting_file(folder, 1000), 2, 995);
  BatchLoader loader(file, {.seed = 3, .rows = 4, .length = 9});
  expect_error(3, "is outside the vocabulary of 995", [&] {
    for (int step = 0; step < 10'000; ++step) loader.next();
  });
  expect_error(3, "is outside the vocabulary of 995", [&] { loader.next(); });
}

TEST(BatchLoader, NeedsOneWholeWindow) {
  const TestFolder folder;
  const TokenFile file(counting_file(folder, 8), 2, 1000);
  expect_error(3, "has 8 tokens, need at least 9", [&] { BatchLoader(file, {.length = 9}); });
  BatchLoader exact(file, {.length = 8});
  EXPECT_EQ(exact.next()[7], 7);
}

TEST(BatchLoader, KnowsTheMemoryOfItsBatches) {
  EXPECT_EQ(BatchLoader::buffer_bytes({.rows = 4, .length = 9}), 3 * 4 * 9 * 8);
}

TEST(BatchLoader, EndsWithoutBeingUsed) {
  const TestFolder folder;
  const TokenFile file(counting_file(folder, 100), 2, 1000);
  for (int i = 0; i < 100; ++i) BatchLoader(file, {.rows = 2, .length = 8});
}

}  // namespace
}  // namespace aot
