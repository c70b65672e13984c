// SPDX-License-Identifier: Apache-2.0
// Rotary positions: pairs (i, i + P/2) of a head turned by position times base^(-2 i / P), base 10,000, whole head.   [Su et al. 2021]
// In pictures the first half of the pairs is turned by the row, the second by the column, base 100.   [Heo et al. 2024, axial frequencies]
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace aot {

constexpr double kRotaryBase = 10000;
constexpr double kPictureRotaryBase = 100;

/// Tokens laid out as a picture: `leading` ones that stand nowhere, then `height` rows of `width`.
struct TokenGrid {
  int64_t height = 0, width = 0, leading = 0;
  [[nodiscard]] int64_t tokens() const { return leading + height * width; }
};

/// cos and sin of position times frequency, (tokens, P/2), computed in double and kept in float64 and float32.
class RotaryTable {
 public:
  RotaryTable() = default;
  /// Throws c10::ValueError when `head_dim` is odd.
  RotaryTable(int64_t tokens, int64_t head_dim);
  /// Positions of a picture: pair i < P/4 is turned by row times base^(-4 i / P), pair P/4 + i by column times the same; leading tokens are
  /// not turned. Throws c10::ValueError when `head_dim` is no multiple of 4.
  RotaryTable(const TokenGrid& grid, int64_t head_dim);

  [[nodiscard]] bool defined() const { return cos_.defined(); }
  [[nodiscard]] int64_t tokens() const { return cos_.defined() ? cos_.size(0) : 0; }
  /// Rows [first, first + count) as (count, P/2), float64 for double tensors and float32 for all others.
  [[nodiscard]] at::Tensor cos(int64_t first, int64_t count, at::ScalarType dtype) const;
  [[nodiscard]] at::Tensor sin(int64_t first, int64_t count, at::ScalarType dtype) const;

 private:
  /// Pair i at token t is turned by position(t, i) times its frequency.
  template <class Position>
  void fill(int64_t tokens, const std::vector<double>& frequencies, const Position& position);

  at::Tensor cos_, sin_, cos_float_, sin_float_;
};

/// x (..., T, P) with row t turned to position `first` + t; half types are turned in float32. Differentiable; the gradient is turned back.
///   `table` must cover `first` + T positions. Cost: O(T P), one new tensor with the strides of x.
at::Tensor rotate(const at::Tensor& x, const RotaryTable& table, int64_t first = 0);
/// The same with the rows of the table given: cos, sin (T, P/2).
at::Tensor rotate_by(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace aot
