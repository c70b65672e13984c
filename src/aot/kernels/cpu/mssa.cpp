// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/mssa.h"

#include <algorithm>

#include "aot/kernels/cpu/dispatch.h"

namespace aot {
namespace {

constexpr int64_t kTasks = 32;          // enough to keep a few threads busy to the end
constexpr int64_t kTokensOfPart = 256;  // below this packing the head again costs more than the balance gains

// A head whose scores are used from both sides is one task. From so many heads on, the threads have enough of them.
constexpr int64_t kSymmetricHeads = 8;

}  // namespace

int64_t mssa_parts(const MssaParams& params) {
  const int64_t heads = params.batch * params.heads;
  if (!params.causal && heads >= kSymmetricHeads) return 1;
  return std::clamp<int64_t>(params.tokens / kTokensOfPart, 1, std::max<int64_t>(1, kTasks / std::max<int64_t>(1, heads)));
}

int64_t mssa_scratch(const MssaParams& params) {
  const int64_t padded = (params.tokens + 15) / 16 * 16, stride = (params.dim + 15) / 16 * 16;
  // Rows, panels, d_out and its panels, two gradients; positions: turned rows and their panels. Beside them, sums of 16 lanes and five
  // numbers. Packed bfloat16 needs less.
  const int64_t per_token = (params.cos != nullptr ? 8 : 6) * stride + 16 + 5;
  const int64_t tiles = 32 * (128 + stride + 16 + 1);
  return padded * per_token + tiles + 16 * 16;
}

void mssa_forward(const MssaParams& params, int64_t begin, int64_t end, float* scratch) {
  AOT_DISPATCH(mssa_forward(params, mssa_parts(params), begin, end, scratch));
}

void mssa_backward(const MssaParams& params, int64_t begin, int64_t end, float* scratch) {
  AOT_DISPATCH(mssa_backward(params, mssa_parts(params), begin, end, scratch));
}

void mssa_backward_sum(const MssaParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(mssa_backward_sum(params, mssa_parts(params), begin, end));
}

}  // namespace aot
