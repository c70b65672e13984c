// SPDX-License-Identifier: Apache-2.0
// What this process runs on and with: for `aot doctor`, and for the results that name their machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace aot {

struct Machine {
  std::string cpu;                    // model name, or empty when the kernel does not tell
  std::vector<std::string> features;  // of those that matter here, the ones this processor has, e.g. "avx2"
  int64_t processors = 0;             // that this process may run on
  int64_t memory_bytes = 0;
  int64_t available_memory_bytes = 0;
};

Machine this_machine();

struct Versions {
  std::string aot, libtorch, compiler;
  std::string kernels;  // the instruction set of LibTorch's own kernels, e.g. "AVX512"
};

Versions versions();

/// Paths of the OpenMP runtimes mapped into this process. More than one costs up to 3.9 times the run time: their threads fight.
std::vector<std::string> openmp_runtimes();

}  // namespace aot
