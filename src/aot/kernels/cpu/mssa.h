// SPDX-License-Identifier: Apache-2.0
// Multi-head subspace attention on the processor: the tokens of a head are its queries, keys and values at once (docs/kernels.md).
#pragma once

#include <cstdint>

namespace aot {

/// A (B, T, K P) matrix seen by head: element (b, t, k, p) is data[b * batch + t * token + k * head + p]. Strides count elements.
struct HeadsView {
  void* data = nullptr;
  int64_t batch = 0, token = 0, head = 0;
};

/// What one call works on. With w_i the tokens of a head, s_ij = scale w_i . w_j:
///   forward:  out_i = sum_j e_ij w_j / l_i,  e_ij = exp(s_ij - m_i),  l_i = sum_j e_ij,  for some m_i not below any s_ij that i reads
///   backward: dw from d_out, with w, out, m and 1 / l of the forward; nothing else is kept. It finds the very e_ij again, where a
///             log-sum-exp in their place would lose as many digits as its own size has.
/// Under rotary positions the scores are those of the turned tokens R_i w_i, the values stay w_j.
struct MssaParams {
  int64_t batch = 0, heads = 0, tokens = 0;
  int64_t dim = 0;                    // P: a multiple of 8, 16 to 128
  bool causal = false;                // token i reads tokens j <= i only
  bool bfloat16 = false;              // how w, out, d_out and dw are stored; else float32. All sums are float32, and so are products
                                      // but on a path with dots of bfloat16, where turned tokens, e and its derivative are rounded.
  float scale = 0;                    // above 0
  float guard = 60;                   // powers of e by which a stabiliser may exceed a row's largest term, see below; tests lift it
  const uint8_t* key_mask = nullptr;  // (B, T), 0: nobody reads this token; null: all are read. A token that reads nothing gets 0.
  const float* cos = nullptr;         // (T, P / 2) with sin: pair (p, p + P / 2) of token t turns by the angle of row t; null: no positions
  const float* sin = nullptr;
  HeadsView w, out, d_out, dw;
  float* statistics = nullptr;  // (B, K, 2, T): m log2 e, and 1 / l, which is 0 where a token reads nothing
  float* partial = nullptr;     // backward with more than one part: (B * K * parts, T, P)
  uint8_t* notices = nullptr;   // (B * K * parts) what each task met: bits of MssaNotice
};

/// About the guard: a row's sum is at least e^-60, and a weight is lost below 2^-126 = e^-87, less than e^-27 of it. Even 2^16 such weights
/// are together less than a float32 can show beside the sum.
enum MssaNotice : uint8_t {
  kMssaFallback = 1,   // a guard failed: rows were stabilised by their exact maximum, or the head without using symmetry
  kMssaNonFinite = 2,  // a NaN or infinity in w or d_out: the result is not to be used, take the reference
};

constexpr bool mssa_kernel_takes(int64_t dim) {
  return dim % 8 == 0 && dim >= 16 && dim <= 128;
}

/// Into how many tasks a head is cut: depends on the shape alone, so that results do not depend on the number of threads.
int64_t mssa_parts(const MssaParams& params);
/// Scratch floats that one task needs; what they hold before does not matter.
int64_t mssa_scratch(const MssaParams& params);

/// Tasks begin .. end - 1 of B * K * parts, one after the other. `scratch` is for this call alone, 64-byte aligned.
void mssa_forward(const MssaParams& params, int64_t begin, int64_t end, float* scratch);
/// The same for the derivative. A head of one part is written to dw; of more, each task writes its share to `partial`.
void mssa_backward(const MssaParams& params, int64_t begin, int64_t end, float* scratch);
/// After all tasks of a backward with more than one part: adds up heads begin .. end - 1 of B * K, in order, into dw.
void mssa_backward_sum(const MssaParams& params, int64_t begin, int64_t end);

}  // namespace aot
