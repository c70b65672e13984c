// SPDX-License-Identifier: Apache-2.0
// How many threads do some work: a loop that fell back to one thread is right, and silently slow.
#pragma once

#include <ctime>
#include <functional>

namespace aot::test {

inline double cpu_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Processor time of the whole process over that of this thread, while `work` is done again and again: 1 where nobody helps, whatever
/// else runs on the machine.
inline double busy_threads(const std::function<void()>& work) {
  const auto again_for = [&](double seconds) {
    for (const double start = cpu_seconds(CLOCK_THREAD_CPUTIME_ID); cpu_seconds(CLOCK_THREAD_CPUTIME_ID) < start + seconds;) work();
  };
  again_for(0.05);  // helpers of what was before still spin for a while
  const double all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID), own = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
  again_for(0.1);
  return (cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all) / (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - own);
}

/// More than one thread makes, and less than two do on a machine that has other work.
constexpr double kTwoThreads = 1.3;

}  // namespace aot::test
