// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/norm.h"

#include <algorithm>

#include "aot/kernels/cpu/dispatch.h"

namespace aot {

int64_t norm_parts(int64_t rows) {
  constexpr int64_t kRowsOfPart = 32;  // below this the sums of a part cost as much as its rows
  constexpr int64_t kMostParts = 64;   // enough to balance many threads; bounds the memory of the partial sums
  return std::clamp<int64_t>(rows / kRowsOfPart, 1, kMostParts);
}

void norm_forward(const NormParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(norm_forward(params, begin, end));
}

void norm_again(const NormParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(norm_again(params, begin, end));
}

void norm_backward(const NormParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(norm_backward(params, norm_parts(params.rows), begin, end));
}

void norm_backward_sum(const NormParams& params, float* d_weight, float* d_bias) {
  const int64_t parts = norm_parts(params.rows), width = params.width;
  for (float* out : {d_weight, d_bias}) {
    if (out == nullptr) continue;
    const float* sums = params.partial + (out == d_bias ? width : 0);
    std::copy(sums, sums + width, out);
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = 0; i < width; ++i) out[i] += sums[2 * part * width + i];
  }
}

}  // namespace aot
