// SPDX-License-Identifier: Apache-2.0
// Inputs of subspace attention, and its kernels against the plain form in float64, with LibTorch's own error as the yardstick.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/ops/mssa_kernel.h"
#include "tests/kernels/paths.h"
#include "tests/support/tensors.h"

namespace aot::test {

struct MssaShape {
  int64_t batch = 2, heads = 3, tokens = 1, dim = 64;
};

struct MssaCase {
  MssaShape shape;
  AttentionOptions options;
  bool rotary = false;
  double size = 1;                    // of the tokens: n_i grows with its square
  at::ScalarType dtype = at::kFloat;  // of the tokens, and of the output's gradient; other formats get the same numbers

  [[nodiscard]] std::string name() const {
    return aot::str("B ", shape.batch, " K ", shape.heads, " T ", shape.tokens, " P ", shape.dim, options.causal ? " causal" : "",
                    options.key_mask.defined() ? " masked" : "", rotary ? " rotary" : "", " size ", size, " ", dtype, " path ",
                    name_of(cpu_path()));
  }
  [[nodiscard]] at::Tensor tokens() const {  // heads (B, K, T, P) as they come from a projection
    return (normal({shape.batch, shape.tokens, shape.heads, shape.dim}, 1) * (0.35 * size)).to(at::kFloat).to(dtype).transpose(1, 2);
  }
  [[nodiscard]] at::Tensor d_out(at::ScalarType as) const {
    return normal({shape.batch, shape.tokens, shape.heads, shape.dim}, 2).to(dtype).to(as).transpose(1, 2);
  }
};

/// Every second sequence padded on the left by a third and at its end.
inline at::Tensor padding(const MssaShape& shape) {
  at::Tensor real = at::ones({shape.batch, shape.tokens}, at::kBool);
  for (int64_t b = 1; b < shape.batch; b += 2) {
    real[b].narrow(0, 0, (shape.tokens + 2) / 3).fill_(false);
    real[b][shape.tokens - 1].fill_(false);
  }
  return real;
}

/// Calls body(case) for the case with every mask, with and without positions.
inline void for_each_mask(MssaCase c, const std::function<void(const MssaCase&)>& body) {
  for (const bool causal : {true, false})
    for (const bool masked : {false, true})
      for (const bool rotary : {false, true}) {
        c.options = {.causal = causal, .key_mask = masked ? padding(c.shape) : at::Tensor()};
        c.rotary = rotary;
        body(c);
      }
}

struct MssaResult {
  at::Tensor out, gradient;
};

inline MssaResult pass(const MssaCase& c, const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& tokens) {
  const at::Tensor a = tokens.detach().requires_grad_();
  const at::Tensor out = f(a);
  return {out.detach(), gradients(out, c.d_out(a.scalar_type()), {a})[0]};
}

inline RotaryTable rotary_table(const MssaCase& c) {
  return c.rotary ? RotaryTable(c.shape.tokens, c.shape.dim) : RotaryTable();
}

/// Our kernels on the path in force.
inline MssaResult kernel_pass(const MssaCase& c, const at::Tensor& tokens) {
  const RotaryTable table = rotary_table(c);
  return pass(
      c, [&](const at::Tensor& a) { return mssa_kernel_attention(a, c.rotary ? &table : nullptr, c.options); }, tokens);
}

inline MssaResult formula_pass(decltype(&attention) formula, const MssaCase& c, const at::Tensor& tokens) {
  const RotaryTable table = rotary_table(c);
  return pass(
      c,
      [&](const at::Tensor& a) {
        const at::Tensor turned = c.rotary ? rotate(a, table) : a;
        return formula(turned, turned, a, c.options, {});
      },
      tokens);
}

inline MssaResult plain_pass(const MssaCase& c, const at::Tensor& tokens) {
  return formula_pass(attention_reference, c, tokens);
}

/// LibTorch's fused operator on the same tensor.
inline MssaResult library_pass(const MssaCase& c, const at::Tensor& tokens) {
  return formula_pass(attention, c, tokens);
}

/// How much output and gradient change at most, in parts of eps, when every term of every sum is off by one eps: a score by the size of its
/// terms, a weight by that much of itself as far as it is not the only one. Near ties between long tokens this is far more than their size.
inline MssaResult sensitivity(const MssaCase& c, const at::Tensor& w) {
  const RotaryTable table = rotary_table(c);
  const at::Tensor turned = c.rotary ? rotate(w, table) : w, values = w.abs();
  at::Tensor p;
  Taps taps;
  taps.listen("weights", [&p](const std::string&, const at::Tensor& weights) { return p = weights; });
  const at::Tensor out = attention_reference(turned, turned, w, c.options, {&taps, ""});
  const at::Tensor g = c.d_out(at::kDouble), sizes_of_g = g.abs();
  const double scale = 1 / std::sqrt(static_cast<double>(w.size(3)));
  const auto dots = [](const at::Tensor& a, const at::Tensor& b) { return at::matmul(a, b.transpose(-1, -2)); };
  const auto dot = [](const at::Tensor& a, const at::Tensor& b) { return (a * b).sum(-1, true); };

  const at::Tensor share = p * scale * dots(turned.abs(), turned.abs());       // (B, K, T, T): how far a weight is off before the sum
  const at::Tensor off = share * (1 - p) + p * (share.sum(-1, true) - share);  // and after
  const at::Tensor out_size = at::matmul(p + off, values);                     // (B, K, T, P)
  const at::Tensor difference = (dots(g, w) - dot(g, out)).abs(), terms = dots(sizes_of_g, values) + dot(sizes_of_g, out_size);
  const at::Tensor d_scores = scale * (off * difference + p * terms);
  const at::Tensor of_scores = at::matmul(d_scores + d_scores.transpose(-1, -2), turned.abs());
  return {out_size, of_scores + at::matmul((p + off).transpose(-1, -2), sizes_of_g)};
}

/// Output and gradient of every path: error at most twice LibTorch's, or 4 eps of the largest number (bfloat16: one rounding of it); for
/// tokens longer than usual, or what one eps in every term can do.
inline void expect_exact(const MssaCase& c, const at::Tensor& tokens) {
  const MssaResult exact = plain_pass(c, tokens.to(at::kDouble)), theirs = library_pass(c, tokens);
  const double rounding = tokens.scalar_type() == at::kBFloat16 ? std::pow(2.0, -8) : 4 * kEpsilon;
  double most_out = allowed_difference(exact.out, theirs.out, rounding);
  double most_gradient = allowed_difference(exact.gradient, theirs.gradient, rounding);
  if (c.size > 1) {
    const MssaResult off = sensitivity(c, tokens.to(at::kDouble));
    most_out = std::max(most_out, kEpsilon * off.out.max().item<double>());
    most_gradient = std::max(most_gradient, kEpsilon * off.gradient.max().item<double>());
  }
  on_every_path([&] {
    const MssaResult ours = kernel_pass(c, tokens);
    EXPECT_EQ(ours.out.scalar_type(), tokens.scalar_type());
    EXPECT_LE(max_difference(ours.out, exact.out), most_out) << "output, " << c.name();
    EXPECT_LE(max_difference(ours.gradient, exact.gradient), most_gradient) << "gradient, " << c.name();
  });
}

inline void expect_exact(const MssaCase& c) {
  expect_exact(c, c.tokens());
}

}  // namespace aot::test
