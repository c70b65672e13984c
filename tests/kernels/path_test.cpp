// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/path.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "tests/kernels/paths.h"

namespace aot {
namespace {

TEST(CpuPath, NamesReadBack) {
  for (const CpuPath path : supported_cpu_paths()) EXPECT_EQ(parse_cpu_path(name_of(path)), path);
  EXPECT_EQ(parse_cpu_path("sse9"), std::nullopt);
}

TEST(CpuPath, GenericRunsEverywhereAndTheBestIsSupported) {
  const std::vector<CpuPath> paths = supported_cpu_paths();
  ASSERT_FALSE(paths.empty());
  EXPECT_EQ(paths.front(), CpuPath::generic);
  EXPECT_NE(std::find(paths.begin(), paths.end(), best_cpu_path()), paths.end());
}

TEST(CpuPath, TheOneThatWasSetIsInForce) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    EXPECT_EQ(cpu_path(), path);
  }
}

}  // namespace
}  // namespace aot
