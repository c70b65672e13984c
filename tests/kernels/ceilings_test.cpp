// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/ceilings.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/paths.h"

namespace aot {
namespace {

TEST(Ceilings, LoopsDoTheWorkThatTheyCount) {
  const test::KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    float sink = 1;
    const int64_t flop = multiply_add_loop(1000, &sink);
    EXPECT_GT(flop, 0);
    // Each sum tends to 2: s <- s / 2 + 1.
    EXPECT_NEAR(sink, static_cast<float>(flop) / 1000, 1e-3) << name_of(path);
    const int64_t dots = bfloat16_dot_loop(100, &sink);
    EXPECT_EQ(dots > 0, path == CpuPath::avx512_bf16) << name_of(path);
  }
}

TEST(Ceilings, ReadingSumsEveryNumberOnce) {
  const test::KeepCpuPath keep;
  std::vector<float> numbers(1024);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 7);
  double expected = 0;
  for (const float each : numbers) expected += each;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    EXPECT_EQ(read_loop(numbers.data(), 1024), static_cast<float>(expected)) << name_of(path);
  }
}

}  // namespace
}  // namespace aot
