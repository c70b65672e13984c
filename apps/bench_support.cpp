// SPDX-License-Identifier: Apache-2.0
#include "apps/bench_support.h"

#include <ctime>

#include <algorithm>
#include <chrono>
#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/machine.h"
#include "aot/io/error.h"
#include "aot/kernels/cpu/path.h"
#include "aot/ops/ceilings.h"
#include "apps/command.h"

namespace aot {
namespace {

constexpr size_t kLeastRounds = 5;
constexpr double kPatience = 4;       // times the time asked for, until enough rounds were quiet
constexpr double kLeastShare = 0.96;  // of its processor that a thread must get
constexpr double kMostDifference = 0.05;

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double thread_cpu_ms() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

/// Whether each thread gets its processor: CPU time over wall time of a short spin.
bool machine_is_quiet() {
  std::vector<double> shares(static_cast<size_t>(at::get_num_threads()));
  on_every_thread([&](int64_t thread) {
    const auto start = Clock::now();
    const double cpu = thread_cpu_ms();
    while (ms_since(start) < 3) {
    }
    shares[static_cast<size_t>(thread)] = (thread_cpu_ms() - cpu) / ms_since(start);
  });
  return *std::min_element(shares.begin(), shares.end()) >= kLeastShare;
}

double ms_of(const std::function<void()>& once, int64_t repetitions) {
  const auto start = Clock::now();
  for (int64_t i = 0; i < repetitions; ++i) once();
  return ms_since(start) / static_cast<double>(repetitions);
}

struct Round {
  std::vector<double> ms;  // of each way, the first as the mean of its halves
  double difference = 0;   // of those halves
};

}  // namespace

double relative_error(const at::Tensor& value, const at::Tensor& exact) {
  const auto scale = exact.abs().max().item<double>();
  return (value.to(at::kDouble) - exact).abs().max().item<double>() / (scale > 0 ? scale : 1);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

Times times_of(std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  const size_t n = ms.size();
  const double middle = median(ms);
  return {.median_ms = middle, .min_ms = ms.front(), .spread = (ms[(3 * n) / 4] - ms[n / 4]) / middle};
}

Turns take_turns(const std::vector<std::function<void()>>& ways, double seconds) {
  // Each shot long enough for the clock and for several to fit into the time.
  const double shot_ms = 1e3 * seconds / static_cast<double>((kLeastRounds + 2) * (ways.size() + 1));
  Turns turns;
  for (const auto& way : ways) {
    way();
    const double once = std::min(ms_of(way, 1), ms_of(way, 1));
    turns.repetitions.push_back(std::clamp<int64_t>(static_cast<int64_t>(std::min(shot_ms, 50.0) / std::max(once, 1e-4)), 1, 1 << 20));
  }
  std::vector<Round> kept, others;
  const auto start = Clock::now();
  const auto go_on = [&] {
    if (kept.size() + others.size() < kLeastRounds) return true;
    return ms_since(start) < 1e3 * seconds * (kept.size() < kLeastRounds ? kPatience : 1);
  };
  while (go_on()) {
    const bool quiet = machine_is_quiet();
    Round round{.ms = {ms_of(ways[0], turns.repetitions[0])}};
    for (size_t i = 1; i < ways.size(); ++i) round.ms.push_back(ms_of(ways[i], turns.repetitions[i]));
    const double again = ms_of(ways[0], turns.repetitions[0]);
    round.difference = std::abs(again - round.ms[0]) / std::min(again, round.ms[0]);
    round.ms[0] = (round.ms[0] + again) / 2;
    (quiet && round.difference <= kMostDifference ? kept : others).push_back(round);
  }
  turns.kept = static_cast<int64_t>(kept.size());
  turns.rejected = static_cast<int64_t>(others.size());
  if (kept.size() < kLeastRounds) {
    log_warning(fmt::format("the machine is busy: {} of {} rounds were quiet; the times are not to be trusted", kept.size(),
                            kept.size() + others.size()));
    std::sort(others.begin(), others.end(), [](const Round& a, const Round& b) { return a.difference < b.difference; });
    kept.insert(kept.end(), others.begin(), others.begin() + static_cast<std::ptrdiff_t>(kLeastRounds - kept.size()));
  }
  std::vector<double> differences;
  for (const Round& round : kept) differences.push_back(round.difference);
  turns.self_difference = median(differences);
  for (size_t i = 0; i < ways.size(); ++i) {
    std::vector<double> ms;
    for (const Round& round : kept) ms.push_back(round.ms[i]);
    turns.ways.push_back(times_of(ms));
  }
  return turns;
}

Json Turns::json() const {
  return {{"self_difference", self_difference}, {"kept", kept}, {"rejected", rejected}};
}

Json Ceilings::json() const {
  return {{"multiply_add_gflops", multiply_add_gflops},
          {"bfloat16_dot_gflops", bfloat16_dot_gflops},
          {"matmul_1024_gflops", matmul_gflops[0]},
          {"matmul_2048_gflops", matmul_gflops[1]}};
}

Ceilings measured_ceilings() {
  return {.multiply_add_gflops = measured_multiply_add_gflops(),
          .bfloat16_dot_gflops = measured_bfloat16_dot_gflops(),
          .matmul_gflops = {measured_matmul_gflops(1024), measured_matmul_gflops(2048)}};
}

void compare(const Comparison& c, const Ceilings& ceilings, double seconds, bool json) {
  if (c.theirs && !(c.error <= std::max(8 * c.their_error, 1e-5)))  // an order of magnitude: tests hold the finer bounds
    throw Error(ExitCode::failed,
                str("bench: ", c.what, ": error ", c.error, " against float64, LibTorch's is ", c.their_error, ": no time is given"));
  std::vector<std::function<void()>> ways = {c.ours};
  if (c.theirs) ways.push_back(c.theirs);
  const Turns turns = take_turns(ways, seconds);
  const bool dots = c.dtype == "bfloat16" && cpu_path() == CpuPath::avx512_bf16;
  const double ceiling = dots ? ceilings.bfloat16_dot_gflops : ceilings.multiply_add_gflops;
  const auto gflops = [&](const Times& times) { return c.flop / times.median_ms / 1e6; };
  const Times& ours = turns.ways[0];
  const std::string gflops_key = c.useful ? "useful_gflops" : "gflops";
  if (json) {
    Json row = {{"peer", "aot"},
                {"what", c.what},
                {"ms", ours.median_ms},
                {"min_ms", ours.min_ms},
                {"spread", ours.spread},
                {"repeats", turns.kept * turns.repetitions[0]},
                {"threads", thread_count()},
                {"torch", TORCH_VERSION},
                {"dtype", c.dtype},
                {"path", name_of(cpu_path())},
                {"shape", c.shape},
                {gflops_key, gflops(ours)},
                {"ceiling_gflops", ceiling},
                {"fraction", gflops(ours) / ceiling},
                {"ceilings", ceilings.json()},
                {"error", c.error},
                {"rss_mb", std::round(static_cast<double>(peak_resident_bytes()) / (1 << 20))},
                {"cpu", cpu_name()}};
    if (c.theirs) {
      const Times& theirs = turns.ways[1];
      row.update({{"libtorch_ms", theirs.median_ms},
                  {"libtorch_min_ms", theirs.min_ms},
                  {"ratio", theirs.median_ms / ours.median_ms},
                  {"libtorch_" + gflops_key, gflops(theirs)},
                  {"libtorch_fraction", gflops(theirs) / ceiling},
                  {"libtorch_error", c.their_error}});
    }
    row.update(turns.json());
    row.update(c.more);
    print(dump_json(row) + "\n");
    return;
  }
  std::string ratio, error;
  if (c.theirs) {
    const double theirs = turns.ways[1].median_ms;
    ratio = fmt::format(", {:.2f} times as fast as LibTorch ({:.3f} ms)", theirs / ours.median_ms, theirs);
    error = fmt::format(" (LibTorch {:.1e})", c.their_error);
  }
  print(fmt::format("{:<26} {:9.3f} ms{}; {:.0f} {}GFLOP/s, {:.0f} % of {:.0f}; error {:.1e}{}; noise {:.1f} %\n", c.what + ":",
                    ours.median_ms, ratio, gflops(ours), c.useful ? "useful " : "", 100 * gflops(ours) / ceiling, ceiling, c.error, error,
                    100 * turns.self_difference));
}

std::string cpu_name() {
  const std::string name = this_machine().cpu;
  return name.empty() ? "unknown" : name;
}

}  // namespace aot
