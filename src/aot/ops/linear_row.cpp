// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/linear_row.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "aot/ops/clones.h"

namespace aot {
namespace {

constexpr int64_t kGrain = 16384;  // numbers of W per thread, 64 KiB: below it starting a thread costs more than it saves

/// out[n] = w[n, :] . x for `rows` rows of `width`. Four rows at a time: one sum alone would wait for its own last addition.
AOT_CLONES void dot_rows(const float* w, const float* x, float* out, int64_t rows, int64_t width) {
  int64_t n = 0;
  for (; n + 4 <= rows; n += 4, w += 4 * width) {
    float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
    for (int64_t i = 0; i < width; ++i) {
      sum0 += w[i] * x[i];
      sum1 += w[width + i] * x[i];
      sum2 += w[2 * width + i] * x[i];
      sum3 += w[3 * width + i] * x[i];
    }
    out[n] = sum0;
    out[n + 1] = sum1;
    out[n + 2] = sum2;
    out[n + 3] = sum3;
  }
  for (; n < rows; ++n, w += width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += w[i] * x[i];
    out[n] = sum;
  }
}

bool plain(const at::Tensor& t) {
  return t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
}

}  // namespace

at::Tensor linear_row(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool one_row = weight.dim() == 2 && x.dim() >= 1 && x.numel() == weight.size(1) && x.size(-1) == weight.size(1);
  const bool graph = c10::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  if (!one_row || graph || !plain(x) || !plain(weight)) return at::linear(x, weight, bias);
  const int64_t rows = weight.size(0), width = weight.size(1);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = rows;
  at::Tensor out = at::empty(shape, x.options());  // (..., N)
  const float* w = weight.const_data_ptr<float>();
  const float* from = x.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)),
                   [&](int64_t begin, int64_t end) { dot_rows(w + begin * width, from, to + begin, end - begin, width); });
  return bias.defined() ? out.add_(bias) : out;
}

}  // namespace aot
