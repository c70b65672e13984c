// SPDX-License-Identifier: Apache-2.0
// A few threads that do one piece of work in several phases: one parallel region of LibTorch's pool with barriers inside, since a region
// costs microseconds and a barrier a tenth of one.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <ATen/Parallel.h>
#include <sched.h>

namespace aot {

/// Work is cut into as many shares as there are threads; a member of the team does one share of each phase, or several where the pool gives
/// fewer threads than asked for. Nobody waits outside of `run`.
class Team {
 public:
  explicit Team(int64_t shares) : shares_(shares) {}
  [[nodiscard]] int64_t shares() const { return shares_; }

  class Member {
   public:
    Member(Team& team, int64_t first, int64_t last) : team_(team), first_(first), last_(last) {}
    /// An own number among those that run, for scratch memory.
    [[nodiscard]] int64_t index() const { return first_; }
    /// What this member does of `count` equal pieces of work.
    [[nodiscard]] std::pair<int64_t, int64_t> part_of(int64_t count) const {
      return {count * first_ / team_.shares_, count * last_ / team_.shares_};
    }
    /// Waits until all have come here; what they wrote before is seen after.
    void wait_for_all() {
      wanted_ += team_.shares_;
      team_.arrived_.fetch_add(last_ - first_, std::memory_order_acq_rel);
      for (int64_t spins = 0; team_.arrived_.load(std::memory_order_acquire) < wanted_; ++spins)
        if (spins > kSpins) sched_yield();  // more threads than processors: the one that we wait for may need this one
    }

   private:
    static constexpr int64_t kSpins = 4096;
    Team& team_;
    int64_t first_, last_, wanted_ = 0;
  };

  /// body(Member&) on every member at once; returns when all have. `body` must not throw, and all must wait equally often.
  template <class Body>
  void run(const Body& body) {
    arrived_.store(0, std::memory_order_relaxed);
    const auto as_member = [&](int64_t first, int64_t last) {
      Member member(*this, first, last);
      body(member);
    };
    if (shares_ == 1)
      as_member(0, 1);
    else
      at::parallel_for(0, shares_, 1, as_member);
  }

 private:
  int64_t shares_;
  alignas(64) std::atomic<int64_t> arrived_{0};
};

}  // namespace aot
