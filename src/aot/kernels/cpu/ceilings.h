// SPDX-License-Identifier: Apache-2.0
// What one core of this processor can do at most: loops that do nothing else, for benchmarks to say which share of it they reach.
#pragma once

#include <cstdint>

namespace aot {

/// `rounds` of independent float32 multiply-adds in registers. Returns the FLOP; `sink` takes one number, so that they are not left out.
int64_t multiply_add_loop(int64_t rounds, float* sink);

/// The same with the processor's bfloat16 dot instruction. 0, and nothing done, on paths without it.
int64_t bfloat16_dot_loop(int64_t rounds, float* sink);

/// Reads `count` numbers, a multiple of 256, and returns their sum.
float read_loop(const float* numbers, int64_t count);

}  // namespace aot
