// SPDX-License-Identifier: Apache-2.0
// What the bits of a run depend on besides its settings and data: processor, kernels, threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace aot {

/// What the results of a computation depend on, to the bit, besides its inputs.
struct MachineFacts {
  std::string cpu;      // the processor's name
  std::string kernels;  // instruction set that LibTorch's operators use here
  std::string path;     // that of our own kernels (kernels/cpu/path.h); empty in checkpoints of format 1
  int64_t threads = 0;
};

MachineFacts machine_facts();

/// Takes the threads of a run, unless `threads` asks for others, and its kernels' path, unless AOT_CPU_PATH forces one or this processor
/// lacks it.
void take_machine(const MachineFacts& of_run, int64_t threads);

/// A sentence on each fact in which `now` is not what a run was made with; empty when its bits can be had again.
std::vector<std::string> machine_differences(const MachineFacts& of_run, const MachineFacts& now);

}  // namespace aot
