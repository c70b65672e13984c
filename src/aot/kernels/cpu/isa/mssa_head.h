// SPDX-License-Identifier: Apache-2.0
// One head made ready for the MSSA kernels: rows and panels in scratch memory, norms, masks.
#pragma once

#include "aot/kernels/cpu/isa/rows.h"
#include "aot/kernels/cpu/isa/transpose.h"
#include "aot/kernels/cpu/mssa.h"

namespace aot {
namespace {

constexpr int64_t kRowBlock = 32;  // rows whose outputs stay in the first-level cache while the columns go by
constexpr int64_t kMaxDim = 128;

/// Hands out pieces of a task's scratch memory, each aligned to a cache line.
class Scratch {
 public:
  explicit Scratch(float* memory) : next_(memory) {}
  float* take(int64_t floats) {
    float* out = next_;
    next_ += round_up(floats, 16);
    return out;
  }

 private:
  float* next_;
};

/// What is known of a head in scratch memory. Rows are padded with zeros to `stride` numbers, a multiple of 16, and to a multiple of 16
/// tokens.
struct HeadBase {
  int64_t tokens, padded, dim, stride;
  float* norm;  // (padded): n_i = scale |w_i|^2, so that s_ij <= sqrt(n_i n_j)
  float* bias;  // (padded): 0, or -infinity for keys that nobody reads and for the padding
  bool masked;  // some key within the tokens is not read
  bool finite;  // all numbers are
};

/// A head in float32.
struct Head : HeadBase {
  using Number = float;
  float* rows;    // (padded, stride): w
  float* turned;  // the same after the rotary positions, where a derivative reads it; `rows` itself without
  float* panels;  // of the turned tokens: both operands of scores
};

template <class Number>
AOT_INLINE const Number* head_data(const HeadsView& view, int64_t b, int64_t k) {
  return static_cast<const Number*>(view.data) + b * view.batch + k * view.head;
}

/// Rows of a head from (B, T, K P) into (padded, stride), zeros behind.
template <class Number>
inline void copy_rows(const Number* from, int64_t token_stride, int64_t tokens, int64_t padded, int64_t dim, int64_t stride, float* rows) {
  for (int64_t t = 0; t < tokens; ++t, from += token_stride, rows += stride)
    for (int64_t p = 0; p < stride; p += kLanes)
      store(rows + p, p + kLanes <= dim ? load(from + p) : load_first(from + p, larger(dim - p, 0)));
  for (float* end = rows + (padded - tokens) * stride; rows < end; rows += kLanes) store(rows, zero());
}

inline void copy_rows(const MssaParams& p, const HeadsView& view, int64_t b, int64_t k, int64_t tokens, float* rows) {
  const int64_t padded = round_up(tokens, kPanel), stride = round_up(p.dim, 16);
  if (p.bfloat16)
    copy_rows(head_data<uint16_t>(view, b, k), view.token, tokens, padded, p.dim, stride, rows);
  else
    copy_rows(head_data<float>(view, b, k), view.token, tokens, padded, p.dim, stride, rows);
}

/// Rows out to (B, T, K P), each times its factor unless there are none.
template <class Number>
void copy_out(const float* rows, const float* factors, int64_t stride, int64_t count, int64_t dim, Number* to, int64_t token_stride) {
  for (int64_t t = 0; t < count; ++t, rows += stride, to += token_stride) {
    const Vec factor = set1(factors == nullptr ? 1 : factors[t]);
    for (int64_t p = 0; p < dim; p += kLanes) {
      if (p + kLanes <= dim)
        store(to + p, load(rows + p) * factor);
      else
        store_first(to + p, load(rows + p) * factor, dim - p);
    }
  }
}

/// The same to rows first .. first + count - 1 of head (b, k) of `view`, in the format of `p`.
inline void copy_out(const MssaParams& p, const float* rows, const float* factors, int64_t stride, int64_t first, int64_t count,
                     const HeadsView& view, int64_t b, int64_t k) {
  const int64_t offset = b * view.batch + first * view.token + k * view.head;
  if (p.bfloat16)
    copy_out(rows, factors, stride, count, p.dim, static_cast<uint16_t*>(view.data) + offset, view.token);
  else
    copy_out(rows, factors, stride, count, p.dim, static_cast<float*>(view.data) + offset, view.token);
}

/// Turns token t's row of a head by its angle, backwards when `back`. `to` may be `from`.
AOT_INLINE void turn_token(const MssaParams& p, int64_t t, const float* from, bool back, float* to) {
  turn_row(from, p.cos + t * (p.dim / 2), p.sin + t * (p.dim / 2), p.dim, back, to);
}

/// values += the gradient of the turned rows, turned back. Both (padded, stride); `turned` is used up.
inline void add_turned_back(const MssaParams& p, const HeadBase& head, float* turned, float* values) {
  for (int64_t t = 0; t < head.tokens; ++t, turned += head.stride, values += head.stride) {
    turn_token(p, t, turned, true, turned);
    for (int64_t i = 0; i < head.stride; i += kLanes) store(values + i, load(values + i) + load(turned + i));
  }
}

/// The columns of `panels` from `column` on, as the vectors of a tile; panels of `dim` rows.
AOT_INLINE const float* panel_column(const float* panels, int64_t dim, int64_t column) {
  return panels + column / kPanel * kPanel * dim + column % kPanel;
}

/// scale |w_t|^2 of `count` tokens, 16 at a time and without horizontal sums.
inline void norms_of_panels(const float* panels, int64_t count, int64_t dim, float scale, float* norm) {
  for (int64_t t = 0; t < count; t += kLanes) {
    const float* column = panel_column(panels, dim, t);
    Vec squares = zero();
    for (int64_t i = 0; i < dim; ++i) squares = fma(load(column + i * kPanel), load(column + i * kPanel), squares);
    store(norm + t, squares * set1(scale));
  }
}

/// Sizes of a head of which the first `tokens` tokens count, and room for its norms.
AOT_INLINE HeadBase head_base(const MssaParams& p, int64_t tokens, Scratch& scratch) {
  const int64_t padded = round_up(tokens, kPanel);
  HeadBase head{.tokens = tokens, .padded = padded, .dim = p.dim, .stride = round_up(p.dim, 16)};
  head.norm = scratch.take(padded);
  head.bias = scratch.take(padded);
  return head;
}

/// What follows from the norms of a head of sequence b and its mask.
inline void read_masks(const MssaParams& p, int64_t b, HeadBase& head) {
  head.masked = false;
  float check = 0;  // 0 times a number that is not finite is NaN
  const uint8_t* mask = p.key_mask == nullptr ? nullptr : p.key_mask + b * p.tokens;
  for (int64_t t = 0; t < head.padded; ++t) {
    check += 0.0F * head.norm[t];
    const bool read = t < head.tokens && (mask == nullptr || mask[t] != 0);
    head.bias[t] = read ? 0 : -kInfinity;
    head.masked = head.masked || (t < head.tokens && !read);
  }
  head.finite = check == 0;
}

/// Packs the turned tokens, and keeps their rows where head.turned has room for them.
inline void pack_turned(const MssaParams& p, const Head& head) {
  float lines[kPanel * kMaxDim];
  for (int64_t first = 0; first < head.padded; first += kPanel) {
    float* const panel = head.turned != nullptr ? head.turned + first * head.stride : lines;
    for (int64_t t = first; t < first + kPanel; ++t) {
      float* const to = panel + (t - first) * head.stride;
      if (t < head.tokens) turn_token(p, t, head.rows + t * head.stride, false, to);
      for (int64_t i = t < head.tokens ? p.dim : 0; i < head.stride; ++i) to[i] = 0;
    }
    pack_panels(panel, head.stride, kPanel, p.dim, head.panels + first * p.dim);
  }
}

/// Head k of sequence b, of which the first `tokens` tokens count. `backward`: with all that a derivative reads.
inline Head pack_head(const MssaParams& p, int64_t b, int64_t k, int64_t tokens, bool backward, Scratch& scratch) {
  Head head{head_base(p, tokens, scratch)};
  const int64_t padded = head.padded, stride = head.stride;
  head.rows = scratch.take(padded * stride);
  copy_rows(p, p.w, b, k, tokens, head.rows);
  head.panels = scratch.take(padded * p.dim);
  if (p.cos != nullptr) {
    head.turned = backward ? scratch.take(padded * stride) : nullptr;
    pack_turned(p, head);
  } else {
    head.turned = head.rows;
    pack_panels(head.rows, stride, padded, p.dim, head.panels);
  }
  norms_of_panels(head.panels, padded, p.dim, p.scale, head.norm);
  read_masks(p, b, head);
  return head;
}

/// 1 / l, and 0 of a token that reads nothing.
AOT_INLINE float inverse_or_zero(float total) {
  return total == 0 ? 0 : 1 / total;
}

/// Row `part` of parts: rows of a head whose work is about equal. Causal work grows with the row, so the cuts follow a square root.
struct RowRange {
  int64_t begin, end;
};
AOT_INLINE RowRange part_rows(const MssaParams& p, int64_t part, int64_t parts) {
  const auto blocks = static_cast<double>((p.tokens + kRowBlock - 1) / kRowBlock);
  const auto cut = [&](int64_t i) {
    const double share = static_cast<double>(i) / static_cast<double>(parts);
    const auto block = static_cast<int64_t>(blocks * (p.causal ? __builtin_sqrt(share) : share) + 0.5);
    return i == parts ? p.tokens : smaller(block * kRowBlock, p.tokens);
  };
  return {cut(part), cut(part + 1)};
}

}  // namespace
}  // namespace aot
