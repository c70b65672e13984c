// SPDX-License-Identifier: Apache-2.0
// The loop around kernels, which are serial over a range of tasks.
#pragma once

#include <cstdint>
#include <functional>

namespace aot {

/// Calls body(task, scratch) for every task of 0 .. count - 1 on LibTorch's threads, which take them one by one, so that tasks may differ
/// in length: put the longest first. `scratch` holds `scratch_floats` numbers for one task at a time, aligned to 64 bytes, of any content;
/// it is kept by its thread for the next call.
void run_tasks(int64_t count, int64_t scratch_floats, const std::function<void(int64_t task, float* scratch)>& body);

}  // namespace aot
