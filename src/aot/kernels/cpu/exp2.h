// SPDX-License-Identifier: Apache-2.0
// The exponential that kernels take in registers, on its own.
#pragma once

#include <cstdint>

namespace aot {

/// out[i] = 2^x[i] for x < 128: within 1 ulp, on the generic path 1.2; whole powers exactly, 0 below -126, NaN for NaN.
void exp2_row(const float* x, int64_t count, float* out);

}  // namespace aot
