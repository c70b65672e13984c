// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/tasks.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#include <ATen/Parallel.h>

namespace aot {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

float* Scratch::of(int64_t floats) {
  if (floats > floats_) {
    const size_t bytes = (static_cast<size_t>(floats) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    memory_.reset();
    floats_ = 0;
    memory_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
    if (memory_ == nullptr) throw std::bad_alloc();
    floats_ = floats;
  }
  return memory_.get();
}

void Scratch::Free::operator()(float* memory) const {
  std::free(memory);
}

void run_tasks(int64_t count, int64_t scratch_floats, const std::function<void(int64_t task, float* scratch)>& body) {
  thread_local Scratch scratch;
  std::atomic<int64_t> next{0};
  const auto worker = [&](int64_t, int64_t) {
    float* memory = scratch.of(scratch_floats);
    for (int64_t task = next.fetch_add(1); task < count; task = next.fetch_add(1)) body(task, memory);
  };
  at::parallel_for(0, std::min<int64_t>(count, at::get_num_threads()), 1, worker);
}

}  // namespace aot
