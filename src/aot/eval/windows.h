// SPDX-License-Identifier: Apache-2.0
// Which tokens a model reads and which are scored, and the mean over them (docs/eval.md).
#pragma once

#include <cstdint>
#include <optional>

namespace aot {

/// One window: the model reads `length` tokens from `first` on; the last `scored` of the `length` tokens that follow each of them count.
struct Window {
  int64_t first = 0, length = 0, scored = 0;
};

/// The windows that score every token but the first exactly once: they start at multiples of `stride`, hold `context` inputs, and score
/// what the window before did not; the last one may be short.   REQUIRES: tokens >= 2, 1 <= stride <= context.
int64_t window_count(int64_t tokens, int64_t context, int64_t stride);
Window window_at(int64_t index, int64_t tokens, int64_t context, int64_t stride);

/// Window `index` of those drawn with replacement: all of them hold min(context, tokens - 1) inputs and score every target, and each place
/// where that fits is as probable; a function of its arguments alone.   REQUIRES: tokens >= 2.
Window random_window(int64_t index, int64_t tokens, int64_t context, uint64_t seed);

/// A mean and its standard error, which one example alone does not have.
struct MeanScore {
  double mean = 0;
  std::optional<double> standard_error;
};

/// Mean of a loss over tokens that came in windows, with its standard error over windows; exact in one pass and constant memory. An example
/// with a number of its own is a window of one token.
class WindowMean {
 public:
  void add(double sum, int64_t tokens);
  [[nodiscard]] int64_t tokens() const { return tokens_; }
  [[nodiscard]] int64_t windows() const { return windows_; }
  [[nodiscard]] double mean() const;
  /// Of the ratio of sums: sqrt(W / (W - 1) sum_w (S_w - mean n_w)^2) / sum_w n_w; with windows of equal length the usual standard error of
  /// their means. Absent for fewer than two windows.
  [[nodiscard]] std::optional<double> standard_error() const;
  /// REQUIRES: add was called.
  [[nodiscard]] MeanScore score() const { return {mean(), standard_error()}; }

 private:
  double shift_ = 0;  // mean of the first window: sums of squares are taken from it, not from 0
  double sum_ = 0, squares_ = 0, cross_ = 0, lengths_ = 0;
  int64_t tokens_ = 0, windows_ = 0;
};

}  // namespace aot
