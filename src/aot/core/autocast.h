// SPDX-License-Identifier: Apache-2.0
// Forward passes in bfloat16 over float32 weights.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

namespace aot {

/// While it lives, LibTorch's autocast runs products on `device` in `dtype` (float32: as they are); sums, norms and losses stay float32.
/// The copies of the weights made on the way are dropped at its end. Backward passes belong outside.
class Autocast {
 public:
  Autocast(at::DeviceType device, at::ScalarType dtype);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool active_, was_enabled_ = false;
  at::ScalarType dtype_before_ = at::kFloat;
};

}  // namespace aot
