// SPDX-License-Identifier: Apache-2.0
// Whether operators may take our kernels: comparisons in one process switch them off.
#pragma once

namespace aot {

/// While one lives, operators that are called in this thread take LibTorch's way: at::linear, its norms, its fused attention and its
/// cross-entropy with all logits at once. Their backward passes go the same way.
class LibTorchOnly {
 public:
  LibTorchOnly();
  ~LibTorchOnly();
  LibTorchOnly(const LibTorchOnly&) = delete;
  LibTorchOnly& operator=(const LibTorchOnly&) = delete;
};

/// False while a LibTorchOnly lives in this thread.
bool own_kernels();

}  // namespace aot
