// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/units.h"

namespace aot {
namespace AOT_ISA {

void exp2_row(const float* x, int64_t count, float* out) {
  for_each_vector(count, [&](int64_t i, int64_t lanes) { write(out + i, exp2(read(x + i, lanes)), lanes); });
}

}  // namespace AOT_ISA
}  // namespace aot
