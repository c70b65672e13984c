// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/exp2.h"

#include "aot/kernels/cpu/dispatch.h"

namespace aot {

void exp2_row(const float* x, int64_t count, float* out) {
  AOT_DISPATCH(exp2_row(x, count, out));
}

}  // namespace aot
