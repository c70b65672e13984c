// SPDX-License-Identifier: Apache-2.0
// How many bytes of CPU tensors are alive: what a graph keeps for its backward pass.
#pragma once

#include <cstdint>
#include <memory>

namespace aot::test {

/// Counts tensors that are allocated while it lives, until they are freed. One at a time.
class LiveBytes {
 public:
  LiveBytes();
  ~LiveBytes();
  LiveBytes(const LiveBytes&) = delete;
  LiveBytes& operator=(const LiveBytes&) = delete;

  [[nodiscard]] int64_t now() const;
  [[nodiscard]] int64_t most() const;  // at any moment so far

 private:
  struct Counting;
  std::shared_ptr<Counting> counting_;
};

}  // namespace aot::test
