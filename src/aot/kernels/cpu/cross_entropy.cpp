// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/cross_entropy.h"

#include "aot/kernels/cpu/dispatch.h"

namespace aot {

void cross_entropy_rows(const CrossEntropyParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(cross_entropy_rows(params, begin, end));
}

}  // namespace aot
