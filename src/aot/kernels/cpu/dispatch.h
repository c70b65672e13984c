// SPDX-License-Identifier: Apache-2.0
// Calls a function of isa/units.h in the unit of the path in force: AOT_DISPATCH(mssa_forward(params, ...)).
#pragma once

#include "aot/kernels/cpu/isa/units.h"
#include "aot/kernels/cpu/path.h"

#if defined(__x86_64__)
#define AOT_DISPATCH(call)        \
  do {                            \
    switch (cpu_path()) {         \
      case CpuPath::generic:      \
        return generic::call;     \
      case CpuPath::avx2:         \
        return avx2::call;        \
      case CpuPath::avx512:       \
        return avx512::call;      \
      case CpuPath::avx512_bf16:  \
        return avx512_bf16::call; \
    }                             \
    __builtin_unreachable();      \
  } while (false)
#else
#define AOT_DISPATCH(call) return generic::call
#endif
