// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

/// Rows of a table by number: out[i] = table[ids[i]].
///   ids (...) int64 in 0 .. V - 1, checked;  table (V, D);  returns (..., D).
///   Differentiable in `table`. Within GradientsInPlace (core/gradients.h) a float32 table on the CPU gets its gradient row by row, in the
///   order of ids whatever the number of threads, and nothing of the table's size is allocated; else the backward is LibTorch's.
at::Tensor embedding_rows(const at::Tensor& table, const at::Tensor& ids);

}  // namespace aot
