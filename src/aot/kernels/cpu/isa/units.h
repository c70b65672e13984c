// SPDX-License-Identifier: Apache-2.0
// What every instruction-set unit defines, once per CpuPath, in a namespace of the path's name.
#pragma once

#include <cstdint>

#include "aot/kernels/cpu/cross_entropy.h"
#include "aot/kernels/cpu/decode.h"
#include "aot/kernels/cpu/linear.h"
#include "aot/kernels/cpu/mssa.h"
#include "aot/kernels/cpu/norm.h"
#include "aot/kernels/cpu/optimizer.h"

namespace aot {

#define AOT_UNIT(path)                                                                                                                     \
  namespace path {                                                                                                                         \
  void mssa_forward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch);                                  \
  void mssa_backward(const MssaParams& params, int64_t parts, int64_t begin, int64_t end, float* scratch);                                 \
  void mssa_backward_sum(const MssaParams& params, int64_t parts, int64_t begin, int64_t end);                                             \
  int64_t multiply_add_loop(int64_t rounds, float* sink);                                                                                  \
  int64_t bfloat16_dot_loop(int64_t rounds, float* sink);                                                                                  \
  float read_loop(const float* numbers, int64_t count);                                                                                    \
  void square_sums(const float* data, int64_t size, double* sums, int64_t begin, int64_t end);                                             \
  void adamw(const UpdateParams& params, int64_t begin, int64_t end);                                                                      \
  void lion(const UpdateParams& params, int64_t begin, int64_t end);                                                                       \
  void pack_weights(const float* from, int64_t row_stride, int64_t depth_stride, const PackedMatrix& to, int64_t begin, int64_t end);      \
  void decode_product(const ProductParams& params, int64_t begin, int64_t end);                                                            \
  void decode_append(const CacheView& cache, int64_t head, int64_t token, const float* key, const float* value, float* scratch);           \
  void decode_attend(const AttendParams& params);                                                                                          \
  void decode_merge(const float* parts_out, const float* log_sums, int64_t parts, int64_t dim, float* out);                                \
  void decode_norm(NormFormula formula, const float* z, const float* weight, const float* bias, float epsilon, int64_t width, float* out); \
  Best decode_best(const float* values, int64_t count);                                                                                    \
  void matmul_pack(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, float* packed);                                   \
  void matmul(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, const float* packed, float* scratch);                  \
  void cross_entropy_rows(const CrossEntropyParams& params, int64_t begin, int64_t end);                                                   \
  void multiply_row(const RowProductParams& params, int64_t begin, int64_t end);                                                           \
  void norm_forward(const NormParams& params, int64_t begin, int64_t end);                                                                 \
  void norm_again(const NormParams& params, int64_t begin, int64_t end);                                                                   \
  void norm_backward(const NormParams& params, int64_t parts, int64_t begin, int64_t end);                                                 \
  void exp2_row(const float* x, int64_t count, float* out);                                                                                \
  }

AOT_UNIT(generic)
#if defined(__x86_64__)
AOT_UNIT(avx2)
AOT_UNIT(avx512)
AOT_UNIT(avx512_bf16)
#endif
#undef AOT_UNIT

}  // namespace aot
