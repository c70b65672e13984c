// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/windows.h"

#include <algorithm>
#include <cmath>

#include "aot/core/random.h"
#include "aot/data/token_dataset.h"

namespace aot {

int64_t window_count(int64_t tokens, int64_t context, int64_t stride) {
  const int64_t targets = tokens - 1;
  return targets <= context ? 1 : 1 + (targets - context + stride - 1) / stride;
}

Window window_at(int64_t index, int64_t tokens, int64_t context, int64_t stride) {
  const int64_t first = index * stride;
  const int64_t length = std::min(context, tokens - 1 - first);
  const int64_t scored_before = index == 0 ? 0 : first - stride + context;  // targets that the windows before have scored
  return {first, length, first + length - scored_before};
}

Window random_window(int64_t index, int64_t tokens, int64_t context, uint64_t seed) {
  const int64_t length = std::min(context, tokens - 1);
  return {window_start(derive_seed(seed, "tost"), 0, index, tokens, length + 1), length, length};
}

void WindowMean::add(double sum, int64_t tokens) {
  const auto n = static_cast<double>(tokens);
  if (windows_ == 0) shift_ = sum / n;
  const double rest = sum - shift_ * n;
  sum_ += rest;
  squares_ += rest * rest;
  cross_ += rest * n;
  lengths_ += n * n;
  tokens_ += tokens;
  ++windows_;
}

double WindowMean::mean() const {
  return shift_ + sum_ / static_cast<double>(tokens_);
}

std::optional<double> WindowMean::standard_error() const {
  if (windows_ < 2) return std::nullopt;
  const auto n = static_cast<double>(tokens_);
  const auto w = static_cast<double>(windows_);
  const double mean = sum_ / n;
  const double squares = std::max(0.0, squares_ - 2 * mean * cross_ + mean * mean * lengths_);
  return std::sqrt(squares * w / (w - 1)) / n;
}

}  // namespace aot
