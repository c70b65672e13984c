// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/team.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "aot/core/machine.h"
#include "aot/generate/decoder.h"
#include "tests/support/busy_threads.h"

namespace aot {
namespace {

TEST(Team, ItsMembersMeetOnThreadsOfTheirOwn) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    std::mutex mutex;
    std::set<std::thread::id> seen;
    std::vector<int> done(7);
    std::atomic<int> sum{0};
    Team(threads).run([&](Team::Member& member) {
      {
        const std::lock_guard lock(mutex);
        seen.insert(std::this_thread::get_id());
      }
      const auto [first, last] = member.part_of(7);
      for (int64_t i = first; i < last; ++i) done[static_cast<size_t>(i)] = 1;
      member.wait_for_all();
      for (const int each : done) sum += each;  // those of the others too
    });
    EXPECT_EQ(seen.size(), static_cast<size_t>(threads));
    EXPECT_EQ(sum, 7 * threads);
  }
  at::set_num_threads(before);
}

TEST(Team, OfADecoderIsBusyOnTwoThreads) {
  if (this_machine().processors < 2) GTEST_SKIP() << "one processor";
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const LanguageModel model({.width = 512, .layers = 2, .heads = 8, .context = 4096, .vocab_size = 100}, 1);
  Decoder decoder(model);
  ASSERT_TRUE(decoder.native());
  const int32_t id = 1;
  EXPECT_GT(test::busy_threads([&] {
              if (decoder.tokens() == 256) decoder.truncate(0);
              decoder.step({&id, 1});
            }),
            test::kTwoThreads);
  at::set_num_threads(before);
}

}  // namespace
}  // namespace aot
