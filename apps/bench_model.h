// SPDX-License-Identifier: Apache-2.0
// What the benchmarks of whole models share: their flags, their rows, their errors (bench_error.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "aot/io/json.h"
#include "aot/models/language.h"
#include "apps/command.h"

namespace aot {

struct BenchFlags {
  LanguageOptions model = {
      .width = 384, .layers = 6, .heads = 6, .context = 256, .vocab_size = 1000, .position = Position::learned, .rotary = false};
  int64_t batch = 8;
  std::string dtype = "float32";
  std::string mask = "causal";  // step
  bool recompute = false;       // step
  std::string log;              // step: where to log while listening; empty: neither
  double seconds = 3;
  bool compare = false;  // also other ways: step, LibTorch's operators; decode, to keep and read the caches
};

/// The flags that all benchmarks of models have.
void describe(Fields& fields, BenchFlags& flags);

struct Repeats {
  double median_ms = 0, min_ms = 0, p99_ms = 0;
  int64_t repeats = 0;
};

/// Runs `once` `warm` times unmeasured, then for `seconds` and at least `least` times; `before` goes before each and is not measured.
Repeats timed(
    const std::function<void()>& once, double seconds, int64_t warm, size_t least, const std::function<void()>& before = [] {});

/// The part that all rows share. `base` is the peak of resident memory before the model was made.
Json bench_row(const char* what, const BenchFlags& flags, const Repeats& times, int64_t base);
void print_bench_row(const Json& row, const GeneralOptions& general);

/// Largest difference from the same model in float64 of a step's loss and gradients, or of a decoder's logits, each over the largest number
/// of its own tensor; on one sequence, cut where the model is large. Throws Error where it is so large that a time would mean nothing.
double step_error(const BenchFlags& flags);
double decode_error(const BenchFlags& flags);

/// Weights without the position table, as bench/peer.py counts them.
int64_t counted_parameters(const LanguageModel& model);

/// aot bench adamw.
void run_adamw(const BenchFlags& flags, const GeneralOptions& general);

/// aot bench decode.
void describe_decode(Fields& fields, BenchFlags& flags);
void run_decode(const BenchFlags& flags, const GeneralOptions& general);

}  // namespace aot
