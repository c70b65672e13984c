// SPDX-License-Identifier: Apache-2.0
// Devices, number formats and threads.
#pragma once

#include <cstdint>
#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace aot {

/// `cpu`, `cuda`, `cuda:1`, or `auto` (CUDA when this LibTorch has it and a device answers). Throws UsageError.
at::Device parse_device(const std::string& name);
/// `float32`, `float64`, `bfloat16`. Throws UsageError.
at::ScalarType parse_dtype(const std::string& name);
std::string dtype_name(at::ScalarType dtype);

/// Sets the intra-op threads of this process once, before any tensor work; 0 keeps LibTorch's choice. Inter-op threads stay at 1.
void set_threads(int64_t threads);
int64_t thread_count();

/// Largest resident memory of this process so far, and now.
int64_t peak_resident_bytes();
int64_t resident_bytes();

}  // namespace aot
