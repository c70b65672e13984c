// SPDX-License-Identifier: Apache-2.0
// The loop around kernels, which are serial over a range of tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace aot {

/// Memory that is kept for the next use: fresh pages cost more than most of what is done with them. One for each thread and purpose.
class Scratch {
 public:
  /// `floats` numbers of any content, aligned to 64 bytes; those given before are gone.
  float* of(int64_t floats);

 private:
  struct Free {
    void operator()(float* memory) const;
  };
  std::unique_ptr<float, Free> memory_;
  int64_t floats_ = 0;
};

/// Calls body(task, scratch) for every task of 0 .. count - 1 on LibTorch's threads, which take them one by one, so that tasks may differ
/// in length: put the longest first. `scratch` holds `scratch_floats` numbers for one task at a time, aligned to 64 bytes, of any content;
/// it is kept by its thread for the next call.
void run_tasks(int64_t count, int64_t scratch_floats, const std::function<void(int64_t task, float* scratch)>& body);

}  // namespace aot
