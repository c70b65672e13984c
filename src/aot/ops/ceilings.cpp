// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/ceilings.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/clock.h"
#include "aot/kernels/cpu/ceilings.h"

namespace aot {
namespace {

/// The best of several over some time, work() on all threads, in units per second. Threads that have just begun may share a processor.
double best_rate(const std::function<double()>& work) {
  double best = 0;
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < 6 || seconds_since(begin) < 0.15; ++i) {
    const Clock::time_point start = Clock::now();
    const double done = work();
    best = std::max(best, done / seconds_since(start));
  }
  return best;
}

double gflops_of(int64_t (*loop)(int64_t, float*)) {
  const auto threads = static_cast<size_t>(at::get_num_threads());
  return best_rate([&] {
           std::vector<int64_t> flop(threads);
           on_every_thread([&](int64_t thread) {
             float sink = 0.25F;
             flop[static_cast<size_t>(thread)] = loop(1 << 20, &sink);
           });
           return static_cast<double>(std::accumulate(flop.begin(), flop.end(), int64_t{0}));
         }) /
         1e9;
}

}  // namespace

void on_every_thread(const std::function<void(int64_t)>& body) {
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) body(thread);
  });
}

double measured_multiply_add_gflops() {
  return gflops_of(multiply_add_loop);
}

double measured_bfloat16_dot_gflops() {
  return gflops_of(bfloat16_dot_loop);
}

double measured_peak_gflops(at::ScalarType type) {
  const double dots = type == at::kBFloat16 ? measured_bfloat16_dot_gflops() : 0;
  return dots > 0 ? dots : measured_multiply_add_gflops();
}

double measured_matmul_gflops(int64_t n) {
  const c10::InferenceMode guard;
  const at::Tensor a = at::ones({n, n}), b = at::ones({n, n});
  at::Tensor c = at::mm(a, b);
  return 2 * std::pow(static_cast<double>(n), 3) / 1e9 * best_rate([&] {
           at::mm_out(c, a, b);
           return 1.0;
         });
}

double measured_read_rate(int64_t bytes) {
  const int64_t threads = at::get_num_threads();
  const int64_t part = std::max<int64_t>(1, bytes / 4 / threads / 256) * 256;  // numbers of one thread
  const at::Tensor numbers = at::ones({threads * part});
  const auto* data = numbers.const_data_ptr<float>();
  const int64_t passes = std::max<int64_t>(1, (64 << 20) / (4 * part * threads));
  std::vector<float> sinks(static_cast<size_t>(threads));
  return best_rate([&] {
           on_every_thread([&](int64_t thread) {
             for (int64_t i = 0; i < passes; ++i) sinks[static_cast<size_t>(thread)] += read_loop(data + thread * part, part);
           });
           return static_cast<double>(passes * threads * part * 4);
         }) /
         1e9;
}

}  // namespace aot
