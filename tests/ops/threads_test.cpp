// SPDX-License-Identifier: Apache-2.0
// Our loops and LibTorch's share one OpenMP runtime and its threads: compiled without -fopenmp they would silently run on one thread, and
// linked with another runtime the two would fight over the processors.
#include <mutex>
#include <set>
#include <thread>

#include <ATen/ops/mm.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "aot/core/clock.h"
#include "aot/core/machine.h"
#include "aot/ops/linear.h"
#include "aot/ops/norm.h"
#include "aot/ops/tasks.h"
#include "tests/support/busy_threads.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

/// The threads that one of our loops runs on. Tasks wait until as many as are `wanted` are busy at once, or ten seconds.
std::set<std::thread::id> threads_of_a_loop(size_t wanted) {
  std::mutex mutex;
  std::set<std::thread::id> out;
  const Clock::time_point start = Clock::now();
  run_tasks(64, 0, [&](int64_t, float*) {
    const auto alone = [&] {
      const std::lock_guard lock(mutex);
      out.insert(std::this_thread::get_id());
      return out.size() < wanted;
    };
    while (alone() && seconds_since(start) < 10) std::this_thread::yield();
  });
  return out;
}

TEST(Threads, OurLoopsRunOnAsManyAsAreSet) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    EXPECT_EQ(threads_of_a_loop(static_cast<size_t>(threads)).size(), static_cast<size_t>(threads));
  }
  at::set_num_threads(before);
}

TEST(Threads, LoopsOfRowsRunOnTwo) {
  if (this_machine().processors < 2) GTEST_SKIP() << "one processor";
  const c10::InferenceMode guard;
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor z = test::normal({512, 512}, 1, at::kFloat), weight = test::normal({512}, 2, at::kFloat);
  EXPECT_GT(test::busy_threads([&] { static_cast<void>(layer_norm(z, weight)); }), test::kTwoThreads) << "norm";
  const at::Tensor x = z.narrow(0, 0, 1), w = test::normal({1024, 512}, 3, at::kFloat);
  EXPECT_GT(test::busy_threads([&] { static_cast<void>(linear_layer(x, w)); }), test::kTwoThreads) << "one row";
  at::set_num_threads(before);
}

TEST(Threads, BelongToOneOpenmpRuntime) {
  const c10::InferenceMode guard;
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor a = test::normal({512, 512}, 1, at::kFloat);
  static_cast<void>(at::mm(a, a));                        // LibTorch's threads
  static_cast<void>(linear_layer(a.narrow(0, 0, 1), a));  // ours
  EXPECT_EQ(threads_of_a_loop(2).size(), 2u);
  at::set_num_threads(before);
  const std::vector<std::string> runtimes = openmp_runtimes();
  EXPECT_EQ(runtimes.size(), 1u) << (runtimes.empty() ? "none" : runtimes.back());
}

}  // namespace
}  // namespace aot
