// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/path.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/kernels/cpu/linear.h"
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

struct Choices {
  const char* name;
  Processor processor;
  CpuPath best;
  /// Who multiplies, by the paths up to the widest: F float32 and H bfloat16 are ours, - is LibTorch's.
  std::vector<std::string> ours;
};

TEST(CpuPath, EveryFamilyChoosesByTheTable) {
  using enum CpuPath;
  using enum Processor::Vendor;
  const std::vector<Choices> table = {
      {"Zen 2", {amd, 23, avx2}, avx2, {"--", "FH"}},
      {"Zen 3", {amd, 25, avx2}, avx2, {"--", "FH"}},
      {"Zen 4", {amd, 25, avx512_bf16}, avx512_bf16, {"--", "F-", "F-", "FH"}},
      {"Zen 5", {amd, 26, avx512_bf16}, avx512_bf16, {"--", "F-", "F-", "FH"}},
      {"an older AMD with the dot instruction", {amd, 24, avx512_bf16}, avx512, {"--", "F-", "F-", "FH"}},
      {"Haswell", {intel, 6, avx2}, avx2, {"--", "--"}},
      {"Skylake-X", {intel, 6, avx512}, avx512, {"--", "--", "-H"}},
      {"Cooper Lake", {intel, 6, avx512_bf16}, avx512, {"--", "--", "-H", "-H"}},
      {"Sapphire Rapids", {intel, 6, avx512_bf16, true}, avx512, {"--", "--", "--", "--"}},
      {"Zhaoxin", {other, 7, avx2}, avx2, {"--", "--"}},
      {"a vendor of tomorrow", {other, 40, avx512_bf16}, avx512, {"--", "--", "--", "--"}},
      {"no vectors", {amd, 15, generic}, generic, {"--"}},
      {"ARM", {}, generic, {"--"}},
  };
  for (const Choices& row : table) {
    EXPECT_EQ(best_cpu_path(row.processor), row.best) << row.name;
    std::vector<std::string> ours;
    for (const CpuPath path : {generic, avx2, avx512, avx512_bf16}) {
      if (path > row.processor.widest) break;
      const MatmulChoice choice = matmul_choice(row.processor, path);
      ours.push_back({choice.float32 ? 'F' : '-', choice.bfloat16 ? 'H' : '-'});
    }
    EXPECT_EQ(ours, row.ours) << row.name;
  }
}

TEST(CpuPath, ThisProcessorChoosesByTheTableToo) {
  const test::KeepCpuPath keep;
  const Processor here = this_processor();
  EXPECT_EQ(here.widest, supported_cpu_paths().back());
  EXPECT_EQ(best_cpu_path(), best_cpu_path(here));
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    const MatmulChoice choice = matmul_choice(), wanted = matmul_choice(here, path);
    EXPECT_EQ(choice.float32, wanted.float32) << name_of(path);
    EXPECT_EQ(choice.bfloat16, wanted.bfloat16) << name_of(path);
  }
  if (here.vendor != Processor::Vendor::other) {
    EXPECT_GT(here.family, 0U);
  }
}

}  // namespace
}  // namespace aot
