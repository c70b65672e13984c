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

#include "aot/core/machine.h"
#include "aot/ops/linear.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

/// The threads that one of our loops runs on.
std::set<std::thread::id> threads_of_a_loop() {
  std::mutex mutex;
  std::set<std::thread::id> out;
  at::parallel_for(0, 64, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    out.insert(std::this_thread::get_id());
  });
  return out;
}

TEST(Threads, OurLoopsRunOnAsManyAsAreSet) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    EXPECT_EQ(threads_of_a_loop().size(), static_cast<size_t>(threads));
  }
  at::set_num_threads(before);
}

TEST(Threads, BelongToOneOpenmpRuntime) {
  const c10::InferenceMode guard;
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor a = test::normal({512, 512}, 1, at::kFloat);
  static_cast<void>(at::mm(a, a));                        // LibTorch's threads
  static_cast<void>(linear_layer(a.narrow(0, 0, 1), a));  // ours
  EXPECT_EQ(threads_of_a_loop().size(), 2u);
  at::set_num_threads(before);
  const std::vector<std::string> runtimes = openmp_runtimes();
  EXPECT_EQ(runtimes.size(), 1u) << (runtimes.empty() ? "none" : runtimes.back());
}

}  // namespace
}  // namespace aot
