// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "aot/kernels/cpu/path.h"

namespace aot::test {

/// Puts back the path in force at the end of a test that changes it.
class KeepCpuPath {
 public:
  KeepCpuPath() = default;
  KeepCpuPath(const KeepCpuPath&) = delete;
  KeepCpuPath& operator=(const KeepCpuPath&) = delete;
  ~KeepCpuPath() { set_cpu_path(path_); }

 private:
  CpuPath path_ = cpu_path();
};

/// Calls body() on every path that this processor has.
inline void on_every_path(const std::function<void()>& body) {
  const KeepCpuPath keep;
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    body();
  }
}

}  // namespace aot::test
