// SPDX-License-Identifier: Apache-2.0
// Matrix products on the processor. The three of a linear layer, Y = X W^T, dX = dY W and dW = dY^T X, are one kernel with other strides
// (docs/kernels.md).
#pragma once

#include <cstdint>

namespace aot {

// Of path.h, which the units in isa/ may not see: it includes the standard library.
struct Processor;
enum class CpuPath;

/// Element (i, j) is data[i * row + j * column], float32 or bfloat16. Strides count elements.
struct MatrixView {
  const void* data = nullptr;
  int64_t row = 0, column = 0;
};

/// out (M, N) = left (M, K) right (K, N) [+ out] [+ bias]. All sums are float32, over k in an order that depends on the shape alone.
struct MatmulParams {
  int64_t rows = 0, cols = 0, depth = 0;  // M, N, K: at least 1
  MatrixView left, right;
  void* out = nullptr;
  int64_t out_row = 0;          // stride of its rows; columns lie next to each other
  bool bfloat16 = false;        // how left and right are stored; else float32
  bool out_bfloat16 = false;    // how out is stored
  bool accumulate = false;      // add to what out holds
  const float* bias = nullptr;  // (N) added to each row, or null
};

/// A product is worked off in steps, one for each part of `right` that fits into the last-level cache. For every step in turn: all tasks
/// of `matmul_pack`, and when they are done all of `matmul`. Tasks of one function may run at the same time.
int64_t matmul_steps(const MatmulParams& params);
int64_t matmul_pack_tasks(const MatmulParams& params, int64_t step);
int64_t matmul_tasks(const MatmulParams& params, int64_t step);

/// Numbers of float32 that hold a packed part of `right`, shared by all tasks, and that each running call of `matmul` needs for itself.
/// What they hold before does not matter; both are aligned to 64 bytes.
int64_t matmul_packed(const MatmulParams& params);
int64_t matmul_scratch(const MatmulParams& params);

void matmul_pack(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, float* packed);
void matmul(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, const float* packed, float* scratch);

/// out[n] = sum_k w(n, k) x[k] [+ bias[n]] for one row of float32, at the rate at which W can be read.
struct RowProductParams {
  int64_t cols = 0, depth = 0;  // N, K
  const float* x = nullptr;     // (K)
  const float* w = nullptr;     // (N, K), rows `w_row` apart
  int64_t w_row = 0;
  float* out = nullptr;         // (N)
  const float* bias = nullptr;  // (N), or null
};

/// Columns begin .. end - 1.
void multiply_row(const RowProductParams& params, int64_t begin, int64_t end);

/// Where our products are faster than those of the vendor's library behind LibTorch: decided by processor and CpuPath alone, never by
/// timing, so that a run's bits do not depend on the moment.
struct MatmulChoice {
  bool float32 = false, bfloat16 = false;
};
MatmulChoice matmul_choice(const Processor& processor, CpuPath path);
MatmulChoice matmul_choice();  // on this one, by the path in force

}  // namespace aot
