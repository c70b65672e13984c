// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/taps.h"

namespace aot {

bool place_matches(const std::string& pattern, const std::string& name) {
  size_t p = 0, n = 0;
  while (p <= pattern.size() && n <= name.size()) {
    const size_t p_end = std::min(pattern.find('.', p), pattern.size());
    const size_t n_end = std::min(name.find('.', n), name.size());
    const bool any = p_end - p == 1 && pattern[p] == '*';
    if (!any && pattern.compare(p, p_end - p, name, n, n_end - n) != 0) return false;
    p = p_end + 1;
    n = n_end + 1;
  }
  return p > pattern.size() && n > name.size();
}

void Taps::listen(std::string pattern, Listener listener) {
  listeners_.emplace_back(std::move(pattern), std::move(listener));
}

bool Taps::wants(const std::string& name) const {
  for (const auto& [pattern, listener] : listeners_)
    if (place_matches(pattern, name)) return true;
  return false;
}

at::Tensor Taps::offer(const std::string& name, const at::Tensor& value) const {
  at::Tensor current = value;
  for (const auto& [pattern, listener] : listeners_) {
    if (!place_matches(pattern, name)) continue;
    at::Tensor replaced = listener(name, current);
    TORCH_CHECK_VALUE(replaced.sizes() == value.sizes(), "taps: the listener of ", name, " must return ", value.sizes(), ", got ",
                      replaced.sizes());
    current = std::move(replaced);
  }
  return current;
}

}  // namespace aot
