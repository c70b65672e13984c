// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/ceilings.h"

#include "aot/kernels/cpu/dispatch.h"

namespace aot {

int64_t multiply_add_loop(int64_t rounds, float* sink) {
  AOT_DISPATCH(multiply_add_loop(rounds, sink));
}

int64_t bfloat16_dot_loop(int64_t rounds, float* sink) {
  AOT_DISPATCH(bfloat16_dot_loop(rounds, sink));
}

float read_loop(const float* numbers, int64_t count) {
  AOT_DISPATCH(read_loop(numbers, count));
}

}  // namespace aot
