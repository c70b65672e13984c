// SPDX-License-Identifier: Apache-2.0
#include "tests/support/live_bytes.h"

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

namespace aot::test {
namespace {

/// A block of the allocator below, counted until it is freed, even after the counter is gone.
struct Block {
  at::DataPtr memory;
  std::shared_ptr<std::atomic<int64_t>> live;
  int64_t bytes = 0;
};

/// The blocks in use by their address: LibTorch's raw_allocate wants that for context, with nothing beside it.
std::mutex blocks_mutex;
std::unordered_map<void*, Block> blocks;

void free_block(void* address) {
  Block block;  // freed after the lock
  const std::lock_guard<std::mutex> lock(blocks_mutex);
  const auto at = blocks.find(address);
  block = std::move(at->second);
  blocks.erase(at);
  *block.live -= block.bytes;
}

}  // namespace

struct LiveBytes::Counting : at::Allocator {
  at::Allocator* below = c10::GetCPUAllocator();
  std::shared_ptr<std::atomic<int64_t>> live = std::make_shared<std::atomic<int64_t>>(0);
  std::atomic<int64_t> most{0};

  at::DataPtr allocate(size_t bytes) override {
    Block block{below->allocate(bytes), live, static_cast<int64_t>(bytes)};
    const int64_t now = *live += block.bytes;
    for (int64_t before = most; before < now && !most.compare_exchange_weak(before, now);) {
    }
    void* const address = block.memory.get();
    if (address == nullptr) return std::move(block.memory);  // of no bytes
    const std::lock_guard<std::mutex> lock(blocks_mutex);
    blocks.emplace(address, std::move(block));
    return {address, address, free_block, at::kCPU};
  }
  [[nodiscard]] at::DeleterFnPtr raw_deleter() const override { return free_block; }
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
