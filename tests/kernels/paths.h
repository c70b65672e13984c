// SPDX-License-Identifier: Apache-2.0
#pragma once

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

}  // namespace aot::test
