// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/decode_attention.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/clones.h"

namespace aot {
namespace {

/// exp for x <= 0 within 2 ulp, 0 below -87.   Cephes' expf: x = n ln 2 + r, a polynomial of degree 5 for e^r.
AOT_INLINE float exp_of_nonpositive(float x) {
  const float clamped = x < -87.0F ? -87.0F : x;
  const float n = __builtin_rintf(clamped * 1.44269504F);
  const float r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float e = p * r * r + r + 1.0F;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.0F ? 0.0F : e * power;
}

// The loops below are written so that GCC vectorises them: no aliasing, one reduction a loop, four rows at a time so that no sum waits for
// its own last addition. With the dimension known (the usual 64 or 32) they unroll whole. Together 6 times faster than one plain loop.

AOT_INLINE void scores_of(const float* __restrict q, const float* __restrict keys, float* __restrict scores, int64_t tokens, int64_t dim,
                          float scale) {
  int64_t j = 0;
  for (; j + 4 <= tokens; j += 4) {
    const float* key = keys + j * dim;
    float dot0 = 0, dot1 = 0, dot2 = 0, dot3 = 0;
#pragma omp simd reduction(+ : dot0, dot1, dot2, dot3)
    for (int64_t p = 0; p < dim; ++p) {
      dot0 += q[p] * key[p];
      dot1 += q[p] * key[dim + p];
      dot2 += q[p] * key[2 * dim + p];
      dot3 += q[p] * key[3 * dim + p];
    }
    scores[j] = scale * dot0;
    scores[j + 1] = scale * dot1;
    scores[j + 2] = scale * dot2;
    scores[j + 3] = scale * dot3;
  }
  for (; j < tokens; ++j) {
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t p = 0; p < dim; ++p) dot += q[p] * keys[j * dim + p];
    scores[j] = scale * dot;
  }
}

/// The same with q turned by the distance to each key: row d of cos and sin, dim / 2 numbers, belongs to distance d.
AOT_INLINE void turned_scores_of(const float* __restrict q, const float* __restrict keys, const float* __restrict cos,
                                 const float* __restrict sin, float* __restrict scores, int64_t tokens, int64_t dim, float scale) {
  const int64_t half = dim / 2;
  for (int64_t j = 0; j < tokens; ++j) {
    const float* key = keys + j * dim;
    const float* c = cos + (tokens - 1 - j) * half;
    const float* s = sin + (tokens - 1 - j) * half;
    float along = 0, across = 0;
#pragma omp simd reduction(+ : along, across)
    for (int64_t p = 0; p < half; ++p) {
      along += c[p] * (q[p] * key[p] + q[half + p] * key[half + p]);
      across += s[p] * (q[p] * key[half + p] - q[half + p] * key[p]);
    }
    scores[j] = scale * (along + across);
  }
}

/// Scores to weights that are not yet divided by their sum, which is returned.
AOT_INLINE float exponentiate(float* __restrict scores, int64_t tokens) {
  float largest = -__builtin_inff();
#pragma omp simd reduction(max : largest)
  for (int64_t j = 0; j < tokens; ++j) largest = scores[j] > largest ? scores[j] : largest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < tokens; ++j) {
    scores[j] = exp_of_nonpositive(scores[j] - largest);
    sum += scores[j];
  }
  return sum;
}

AOT_INLINE void weighted_sum(const float* __restrict weights, const float* __restrict values, float* __restrict out, int64_t tokens,
                             int64_t dim, float factor) {
  for (int64_t p = 0; p < dim; ++p) out[p] = 0;
  int64_t j = 0;
  for (; j + 4 <= tokens; j += 4) {
    const float* value = values + j * dim;
    const float w0 = weights[j], w1 = weights[j + 1], w2 = weights[j + 2], w3 = weights[j + 3];
#pragma omp simd
    for (int64_t p = 0; p < dim; ++p) out[p] += (w0 * value[p] + w1 * value[dim + p]) + (w2 * value[2 * dim + p] + w3 * value[3 * dim + p]);
  }
  for (; j < tokens; ++j) {
#pragma omp simd
    for (int64_t p = 0; p < dim; ++p) out[p] += weights[j] * values[j * dim + p];
  }
  for (int64_t p = 0; p < dim; ++p) out[p] *= factor;
}

/// One head: everything about it as plain numbers.
struct Head {
  const float* q;
  const float* keys;    // tokens x dim
  const float* values;  // tokens x dim
  const float* cos;     // null without positions
  const float* sin;
  int64_t tokens, dim;
  float scale;
  float* scores;  // tokens, scratch
  float* out;     // dim
};

AOT_INLINE void attend_with(const Head& h, int64_t dim) {
  if (h.cos == nullptr) {
    scores_of(h.q, h.keys, h.scores, h.tokens, dim, h.scale);
  } else {
    turned_scores_of(h.q, h.keys, h.cos, h.sin, h.scores, h.tokens, dim, h.scale);
  }
  const float sum = exponentiate(h.scores, h.tokens);
  weighted_sum(h.scores, h.values, h.out, h.tokens, dim, 1 / sum);
}

AOT_CLONES void attend(const Head& h) {
  if (h.dim == 64) {
    attend_with(h, 64);
  } else if (h.dim == 32) {
    attend_with(h, 32);
  } else {
    attend_with(h, h.dim);
  }
}

constexpr int64_t kWorkPerThread = 1 << 17;  // multiply-adds below which a second thread costs more than it gives

at::Tensor decode_by_loop(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, int64_t tokens, double scale,
                          const RotaryTable* rotary) {
  const int64_t heads = q.size(0) * q.size(1), dim = q.size(2);
  const at::Tensor query = q.contiguous();
  at::Tensor out = at::empty({q.size(0), q.size(1), dim}, q.options());
  at::Tensor cos, sin;
  if (rotary != nullptr) {
    cos = rotary->cos(0, tokens, at::kFloat);
    sin = rotary->sin(0, tokens, at::kFloat);
    TORCH_CHECK_VALUE(2 * cos.size(1) == dim, "decode_attention: rotary positions are for heads of ", 2 * cos.size(1), ", got ", dim);
  }
  const float* q_data = query.const_data_ptr<float>();
  const float* key_data = keys.const_data_ptr<float>();
  const float* value_data = values.const_data_ptr<float>();
  const float* cos_data = cos.defined() ? cos.const_data_ptr<float>() : nullptr;
  const float* sin_data = sin.defined() ? sin.const_data_ptr<float>() : nullptr;
  auto* out_data = out.mutable_data_ptr<float>();
  const int64_t key_stride = keys.stride(1), value_stride = values.stride(1);
  const int64_t grain = std::max<int64_t>(1, kWorkPerThread / (2 * tokens * dim));
  at::parallel_for(0, heads, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(static_cast<size_t>(tokens));
    for (int64_t h = begin; h < end; ++h)
      attend({q_data + h * dim, key_data + h * key_stride, value_data + h * value_stride, cos_data, sin_data, tokens, dim,
              static_cast<float>(scale), scores.data(), out_data + h * dim});
  });
  return out;
}

}  // namespace

at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, int64_t tokens, double scale,
                            const RotaryTable* rotary) {
  TORCH_CHECK_VALUE(q.dim() == 3 && keys.dim() == 4 && keys.sizes() == values.sizes() && keys.size(0) == q.size(0) &&
                        keys.size(1) == q.size(1) && keys.size(3) == q.size(2),
                    "decode_attention: q must be (B, K, P) and keys, values (B, K, S, P), got ", q.sizes(), ", ", keys.sizes(), " and ",
                    values.sizes());
  TORCH_CHECK_VALUE(tokens >= 1 && tokens <= keys.size(2), "decode_attention: tokens must be 1 to ", keys.size(2), ", got ", tokens);
  const auto rows_are_plain = [](const at::Tensor& t) {  // heads follow each other at one stride, over the batch too
    return t.stride(3) == 1 && t.stride(2) == t.size(3) && t.stride(0) == t.stride(1) * t.size(1);
  };
  if (q.is_cpu() && q.scalar_type() == at::kFloat && keys.scalar_type() == at::kFloat && values.scalar_type() == at::kFloat &&
      rows_are_plain(keys) && rows_are_plain(values))
    return decode_by_loop(q, keys, values, tokens, scale, rotary);
  at::Tensor query = q.unsqueeze(2), key = keys.narrow(2, 0, tokens);
  if (rotary != nullptr) {
    query = rotate(query, *rotary, tokens - 1);
    key = rotate(key, *rotary);
  }
  const at::Tensor weights = (at::matmul(query, key.transpose(-1, -2)) * scale).softmax(-1);
  return at::matmul(weights, values.narrow(2, 0, tokens)).squeeze(2);
}

}  // namespace aot
