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

/// One head: everything about it as plain numbers.
struct Head {
  const float* q;
  const float* keys;    // tokens x dim
  const float* values;  // tokens x dim
  const float* cos;     // row d: distance d, dim / 2 numbers; null without positions
  const float* sin;
  int64_t tokens, dim;
  float scale;
  float* scores;  // tokens, scratch
  float* out;     // dim
};

/// exp for x <= 0 within 2 ulp, 0 below -87.   Cephes' expf: x = n ln 2 + r, a polynomial of degree 5 for e^r.
inline float exp_of_nonpositive(float x) {
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

AOT_CLONES void attend(const Head& h) {
  const int64_t half = h.dim / 2;
  float largest = -__builtin_inff();
  for (int64_t j = 0; j < h.tokens; ++j) {
    const float* key = h.keys + j * h.dim;
    float dot = 0;
    if (h.cos == nullptr) {
#pragma omp simd reduction(+ : dot)
      for (int64_t p = 0; p < h.dim; ++p) dot += h.q[p] * key[p];
    } else {
      const float* cos = h.cos + (h.tokens - 1 - j) * half;
      const float* sin = h.sin + (h.tokens - 1 - j) * half;
#pragma omp simd reduction(+ : dot)
      for (int64_t p = 0; p < half; ++p)
        dot += cos[p] * (h.q[p] * key[p] + h.q[half + p] * key[half + p]) + sin[p] * (h.q[p] * key[half + p] - h.q[half + p] * key[p]);
    }
    h.scores[j] = h.scale * dot;
    largest = h.scores[j] > largest ? h.scores[j] : largest;
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < h.tokens; ++j) {
    h.scores[j] = exp_of_nonpositive(h.scores[j] - largest);
    sum += h.scores[j];
  }
  std::memset(h.out, 0, static_cast<size_t>(h.dim) * sizeof(float));
  for (int64_t j = 0; j < h.tokens; ++j) {
    const float weight = h.scores[j];
    const float* value = h.values + j * h.dim;
#pragma omp simd
    for (int64_t p = 0; p < h.dim; ++p) h.out[p] += weight * value[p];
  }
  const float inverse = 1 / sum;
  for (int64_t p = 0; p < h.dim; ++p) h.out[p] *= inverse;
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
  const auto rows_are_plain = [](const at::Tensor& t) {  // heads follow each other at one stride, over the batch too
    return t.stride(3) == 1 && t.stride(2) == t.size(3) && t.stride(0) == t.stride(1) * t.size(1);
  };
  if (q.is_cpu() && q.scalar_type() == at::kFloat && rows_are_plain(keys) && rows_are_plain(values))
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
