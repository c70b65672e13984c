// SPDX-License-Identifier: Apache-2.0
#include "aot/core/autocast.h"

#include <ATen/autocast_mode.h>

namespace aot {

Autocast::Autocast(at::DeviceType device, at::ScalarType dtype) : device_(device), active_(dtype != at::kFloat) {
  if (!active_) return;
  was_enabled_ = at::autocast::is_autocast_enabled(device_);
  dtype_before_ = at::autocast::get_autocast_dtype(device_);
  at::autocast::set_autocast_dtype(device_, dtype);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, dtype_before_);
}

}  // namespace aot
