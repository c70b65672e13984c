// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/decode.h"

#include "aot/kernels/cpu/dispatch.h"

namespace aot {

void pack_weights(const float* from, int64_t row_stride, int64_t depth_stride, const PackedMatrix& to, int64_t begin, int64_t end) {
  AOT_DISPATCH(pack_weights(from, row_stride, depth_stride, to, begin, end));
}
void decode_product(const ProductParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(decode_product(params, begin, end));
}
void decode_append(const CacheView& cache, int64_t head, int64_t token, const float* key, const float* value, float* scratch) {
  AOT_DISPATCH(decode_append(cache, head, token, key, value, scratch));
}
void decode_attend(const AttendParams& params) {
  AOT_DISPATCH(decode_attend(params));
}
void decode_merge(const float* parts_out, const float* log_sums, int64_t parts, int64_t dim, float* out) {
  AOT_DISPATCH(decode_merge(parts_out, log_sums, parts, dim, out));
}
void decode_norm(NormFormula formula, const float* z, const float* weight, const float* bias, float epsilon, int64_t width, float* out) {
  AOT_DISPATCH(decode_norm(formula, z, weight, bias, epsilon, width, out));
}
Best decode_best(const float* values, int64_t count) {
  AOT_DISPATCH(decode_best(values, count));
}

}  // namespace aot
