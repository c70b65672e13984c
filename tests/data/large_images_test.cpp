// SPDX-License-Identifier: Apache-2.0
#include "aot/data/large_images.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace aot {
namespace {

TEST(LargeImages, AreNeverMorePixelsAtOnceThanAllowedOrOneThatIsLarger) {
  LargeImages images;
  std::atomic<int64_t> pixels = 0, most = 0, larger_than_all = 0;
  const auto work = [&](int64_t height) {
    for (int i = 0; i < 200; ++i) {
      const LargeImages::Room room(images, {height, 1000});
      const int64_t now = pixels += height * 1000;
      for (int64_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) continue;
      if (now > LargeImages::kMostPixels && now != height * 1000) ++larger_than_all;
      std::this_thread::yield();
      pixels -= height * 1000;
    }
  };
  std::vector<std::thread> threads;
  for (const int64_t height : {10'000, 10'000, 15'000, 64'000, 20'000, 1}) threads.emplace_back(work, height);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(larger_than_all, 0);
  EXPECT_EQ(pixels, 0);
  EXPECT_EQ(most, 64'000'000);
}

}  // namespace
}  // namespace aot
