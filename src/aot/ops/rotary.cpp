// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/rotary.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace aot {
namespace {

/// x turned by the angles whose cosines and sines are given; `direction` -1 turns back.
at::Tensor turned(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, double direction) {
  if (x.scalar_type() != cos.scalar_type()) return turned(x.to(cos.scalar_type()), cos, sin, direction).to(x.scalar_type());
  const int64_t half = x.size(-1) / 2;
  at::Tensor out = at::empty_like(x);
  const at::Tensor x_low = x.narrow(-1, 0, half), x_high = x.narrow(-1, half, half);
  at::Tensor out_low = out.narrow(-1, 0, half), out_high = out.narrow(-1, half, half);
  at::mul_out(out_low, x_low, cos).addcmul_(x_high, sin, -direction);
  at::mul_out(out_high, x_high, cos).addcmul_(x_low, sin, direction);
  return out;
}

struct Rotate : torch::autograd::Function<Rotate> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return turned(x, cos, sin, 1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor back = c10::GradMode::is_enabled() ? rotate_by(gradients[0], saved[0], saved[1].neg())  // differentiable again
                                                        : turned(gradients[0], saved[0], saved[1], -1);
    return {back, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RotaryTable::RotaryTable(int64_t tokens, int64_t head_dim) {
  TORCH_CHECK_VALUE(head_dim % 2 == 0, "rotary: head_dim must be even, got ", head_dim);
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_dim / 2; ++i)
    frequencies.push_back(std::pow(kRotaryBase, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  fill(tokens, frequencies, [](int64_t t, int64_t) { return t; });
}

RotaryTable::RotaryTable(const TokenGrid& grid, int64_t head_dim) {
  TORCH_CHECK_VALUE(head_dim % 4 == 0, "rotary: head_dim must be a multiple of 4 in pictures, got ", head_dim);
  const int64_t quarter = head_dim / 4;
  std::vector<double> frequencies;
  for (int64_t i = 0; i < 2 * quarter; ++i)
    frequencies.push_back(std::pow(kPictureRotaryBase, -static_cast<double>(i % quarter) / static_cast<double>(quarter)));
  fill(grid.tokens(), frequencies, [&](int64_t t, int64_t i) {
    const int64_t place = std::max<int64_t>(0, t - grid.leading);
    return i < quarter ? place / grid.width : place % grid.width;
  });
}

template <class Position>
void RotaryTable::fill(int64_t tokens, const std::vector<double>& frequencies, const Position& position) {
  const auto half = static_cast<int64_t>(frequencies.size());
  cos_ = at::empty({tokens, half}, at::kDouble);
  sin_ = at::empty({tokens, half}, at::kDouble);
  auto* cos = cos_.mutable_data_ptr<double>();
  auto* sin = sin_.mutable_data_ptr<double>();
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position(t, i)) * frequencies[static_cast<size_t>(i)];
      cos[t * half + i] = std::cos(angle);
      sin[t * half + i] = std::sin(angle);
    }
  }
  cos_float_ = cos_.to(at::kFloat);
  sin_float_ = sin_.to(at::kFloat);
}

at::Tensor RotaryTable::cos(int64_t first, int64_t count, at::ScalarType dtype) const {
  return (dtype == at::kDouble ? cos_ : cos_float_).narrow(0, first, count);
}

at::Tensor RotaryTable::sin(int64_t first, int64_t count, at::ScalarType dtype) const {
  return (dtype == at::kDouble ? sin_ : sin_float_).narrow(0, first, count);
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& table, int64_t first) {
  const int64_t tokens = x.size(-2);
  TORCH_CHECK_VALUE(first >= 0 && first + tokens <= table.tokens(), "rotary: positions ", first, " to ", first + tokens,
                    " exceed the table of ", table.tokens());
  const at::Tensor cos = table.cos(first, tokens, x.scalar_type()).to(x.device()),
                   sin = table.sin(first, tokens, x.scalar_type()).to(x.device());
  TORCH_CHECK_VALUE(x.size(-1) == 2 * cos.size(-1), "rotary: x must be (..., T, ", 2 * cos.size(-1), "), got ", x.sizes());
  return rotate_by(x, cos, sin);
}

at::Tensor rotate_by(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return Rotate::apply(x, cos, sin);
}

}  // namespace aot
