// SPDX-License-Identifier: Apache-2.0
// How benchmarks measure: ways of doing one thing timed in turns, and what the machine could do at most (docs/bench.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/io/json.h"

namespace aot {

/// Of at least one number.
double median(std::vector<double> values);

/// Largest difference of `value` from `exact` (float64) as a share of the largest number of `exact`.
double relative_error(const at::Tensor& value, const at::Tensor& exact);

/// Median, best, and the width of the middle half as a share of the median.
struct Times {
  double median_ms = 0, min_ms = 0, spread = 0;
};

/// Sorts `ms`, which is not empty.
Times times_of(std::vector<double> ms);

struct Turns {
  std::vector<Times> ways;           // as given
  double self_difference = 0;        // median of how far the two halves of the first way lie apart, as a share: a ratio within it is noise
  int64_t kept = 0, rejected = 0;    // rounds
  std::vector<int64_t> repetitions;  // calls of a way behind one number
  [[nodiscard]] Json json() const;   // how quiet it was: self_difference, kept, rejected
};

/// Times `ways` in turns: a round is the first way, each other, the first again. At least five rounds, for about `seconds` in all, or four
/// times as long while too few count. A round counts only if every thread had its processor to itself just before it and its two halves
/// agree within 5 %; when too few do, the log says so and the best of the others count too.
Turns take_turns(const std::vector<std::function<void()>>& ways, double seconds);

/// What this machine's threads reach together, measured now (about half a second).
struct Ceilings {
  double multiply_add_gflops = 0;    // float32 multiply-adds in registers
  double bfloat16_dot_gflops = 0;    // the bfloat16 dot instruction; 0 without one
  double matmul_gflops[2] = {0, 0};  // LibTorch's float32 product of squares of 1024 and 2048
  [[nodiscard]] Json json() const;
};
Ceilings measured_ceilings();

/// One thing done by our way and by LibTorch's, on the same tensors. Where LibTorch has no way, `theirs` is empty.
struct Comparison {
  std::string what, dtype;
  Json shape;
  double flop = 0;
  bool useful = false;  // `flop` are those of a perfect way, which neither of the two need be
  std::function<void()> ours, theirs;
  double error = 0, their_error = 0;  // against float64, on a sample
  Json more = Json::object();         // further keys of the row
};

/// Times them in turns and prints the row: JSON, or a line for people. The share is of what the products of `dtype` run on.
void compare(const Comparison& comparison, const Ceilings& ceilings, double seconds, bool json);

/// The processor's name, or "unknown".
std::string cpu_name();

}  // namespace aot
