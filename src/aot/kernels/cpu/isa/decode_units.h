// SPDX-License-Identifier: Apache-2.0
// What every instruction-set unit defines for decoding (kernels/cpu/decode.h), in a namespace of the path's name.
#pragma once

#include "aot/kernels/cpu/decode.h"

namespace aot {

#define AOT_UNIT(path)                                                                                                                     \
  namespace path {                                                                                                                         \
  void pack_weights(const float* from, int64_t row_stride, int64_t depth_stride, const PackedMatrix& to, int64_t begin, int64_t end);      \
  void decode_product(const ProductParams& params, int64_t begin, int64_t end);                                                            \
  void decode_append(const CacheView& cache, int64_t head, int64_t token, const float* key, const float* value, float* scratch);           \
  void decode_attend(const AttendParams& params);                                                                                          \
  void decode_merge(const float* parts_out, const float* log_sums, int64_t parts, int64_t dim, float* out);                                \
  void decode_norm(NormFormula formula, const float* z, const float* weight, const float* bias, float epsilon, int64_t width, float* out); \
  Best decode_best(const float* values, int64_t count);                                                                                    \
  }

AOT_UNIT(generic)
#if defined(__x86_64__)
AOT_UNIT(avx2)
AOT_UNIT(avx512)
AOT_UNIT(avx512_bf16)
#endif
#undef AOT_UNIT

}  // namespace aot
