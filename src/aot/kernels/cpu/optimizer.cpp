// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/optimizer.h"

#include "aot/kernels/cpu/dispatch.h"

namespace aot {

void square_sums(const float* data, int64_t size, double* sums, int64_t begin, int64_t end) {
  AOT_DISPATCH(square_sums(data, size, sums, begin, end));
}

void adamw(const UpdateParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(adamw(params, begin, end));
}

void lion(const UpdateParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(lion(params, begin, end));
}

}  // namespace aot
