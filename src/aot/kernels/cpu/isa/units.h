// SPDX-License-Identifier: Apache-2.0
// What every instruction-set unit defines, once per CpuPath, in a namespace of the path's name.
#pragma once

#include <cstdint>

#include "aot/kernels/cpu/adamw.h"
#include "aot/kernels/cpu/mssa.h"

namespace aot {

#define AOT_UNIT(path)                                                                                     \
  namespace path {                                                                                         \
  void mssa_forward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch);  \
  void mssa_backward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch); \
  void mssa_backward_sum(const MssaParams& params, int64_t parts, int64_t begin, int64_t end);             \
  int64_t multiply_add_loop(int64_t rounds, float* sink);                                                  \
  int64_t bfloat16_dot_loop(int64_t rounds, float* sink);                                                  \
  float read_loop(const float* numbers, int64_t count);                                                    \
  void square_sums(const float* data, int64_t size, double* sums, int64_t begin, int64_t end);             \
  void adamw(const AdamWParams& params, int64_t begin, int64_t end);                                       \
  }

AOT_UNIT(generic)
#if defined(__x86_64__)
AOT_UNIT(avx2)
AOT_UNIT(avx512)
AOT_UNIT(avx512_bf16)
#endif
#undef AOT_UNIT

}  // namespace aot
