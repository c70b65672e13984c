// SPDX-License-Identifier: Apache-2.0
// The linear layers' and the head's part of every instruction-set unit.
#pragma once

#include "aot/kernels/cpu/cross_entropy.h"
#include "aot/kernels/cpu/linear.h"

namespace aot {

#define AOT_UNIT(path)                                                                                                    \
  namespace path {                                                                                                        \
  void matmul_pack(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, float* packed);                  \
  void matmul(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, const float* packed, float* scratch); \
  void cross_entropy_rows(const CrossEntropyParams& params, int64_t begin, int64_t end);                                  \
  void multiply_row(const RowProductParams& params, int64_t begin, int64_t end);                                          \
  }

AOT_UNIT(generic)
#if defined(__x86_64__)
AOT_UNIT(avx2)
AOT_UNIT(avx512)
AOT_UNIT(avx512_bf16)
#endif
#undef AOT_UNIT

}  // namespace aot
