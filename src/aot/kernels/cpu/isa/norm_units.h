// SPDX-License-Identifier: Apache-2.0
// The norms of every instruction-set unit (units.h).
#pragma once

#include "aot/kernels/cpu/norm.h"

namespace aot {

#define AOT_UNIT(path)                                                                     \
  namespace path {                                                                         \
  void norm_forward(const NormParams& params, int64_t begin, int64_t end);                 \
  void norm_again(const NormParams& params, int64_t begin, int64_t end);                   \
  void norm_backward(const NormParams& params, int64_t parts, int64_t begin, int64_t end); \
  }

AOT_UNIT(generic)
#if defined(__x86_64__)
AOT_UNIT(avx2)
AOT_UNIT(avx512)
AOT_UNIT(avx512_bf16)
#endif
#undef AOT_UNIT

}  // namespace aot
