// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, measured now on all threads: the peaks that shares refer to. About 0.15 s each.
#pragma once

#include <cstdint>
#include <functional>

#include <c10/core/ScalarType.h>

namespace aot {

/// GFLOP/s of float32 multiply-adds in registers, on the CPU path in force.
double measured_multiply_add_gflops();

/// The same of the bfloat16 dot instruction; 0 on paths without it.
double measured_bfloat16_dot_gflops();

/// That of the two which the fastest products of this type are made of.
double measured_peak_gflops(at::ScalarType type);

/// GFLOP/s of LibTorch's float32 product of two squares of n.
double measured_matmul_gflops(int64_t n);

/// GB/s at which all threads together read `bytes`, each its own part, again and again.
double measured_read_rate(int64_t bytes);

/// Runs body(thread) once on each thread.
void on_every_thread(const std::function<void(int64_t)>& body);

}  // namespace aot
