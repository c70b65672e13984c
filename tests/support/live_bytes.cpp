// SPDX-License-Identifier: Apache-2.0
#include "tests/support/live_bytes.h"

#include <atomic>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

namespace aot::test {
namespace {

/// A block of the allocator below, counted until it is freed, even after the counter is gone.
struct Block {
  at::DataPtr memory;
  std::shared_ptr<std::atomic<int64_t>> live;
  int64_t bytes;
};

void free_block(void* context) {
  const std::unique_ptr<Block> block(static_cast<Block*>(context));
  *block->live -= block->bytes;
}

}  // namespace

struct LiveBytes::Counting : at::Allocator {
  at::Allocator* below = c10::GetCPUAllocator();
  std::shared_ptr<std::atomic<int64_t>> live = std::make_shared<std::atomic<int64_t>>(0);
  std::atomic<int64_t> most{0};

  at::DataPtr allocate(size_t bytes) override {
    auto block = std::make_unique<Block>(Block{below->allocate(bytes), live, static_cast<int64_t>(bytes)});
    const int64_t now = *live += block->bytes;
    for (int64_t before = most; before < now && !most.compare_exchange_weak(before, now);) {
    }
    void* const data = block->memory.get();
    return {data, block.release(), free_block, at::kCPU};
  }
  [[nodiscard]] at::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

LiveBytes::LiveBytes() : counting_(std::make_shared<Counting>()) {
  c10::SetCPUAllocator(counting_.get());
}

LiveBytes::~LiveBytes() {
  c10::SetCPUAllocator(counting_->below);
}

int64_t LiveBytes::now() const {
  return *counting_->live;
}

int64_t LiveBytes::most() const {
  return counting_->most;
}

}  // namespace aot::test
