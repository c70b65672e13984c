// SPDX-License-Identifier: Apache-2.0
#include "apps/bench_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>
#include <torch/version.h>

#include "aot/core/device.h"
#include "aot/kernels/cpu/path.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

double megabytes(int64_t bytes) {
  return std::round(static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

void describe(Fields& fields, BenchFlags& flags) {
  fields.heading("Bench");
  fields.add("mixer", flags.model.mixer, "token mixer");
  fields.add("width", flags.model.width, "width D").min(1).max(1 << 16);
  fields.add("layers", flags.model.layers, "layers L").min(1).max(4096);
  fields.add("heads", flags.model.heads, "heads K").min(1).max(4096);
  fields.add("head-dim", flags.model.head_dim, "dimension P of a head; 0: width / heads").min(0).max(1 << 16);
  fields.add("tokens", flags.model.context, "context T").min(2).max(1 << 20);
  fields.add("vocab", flags.model.vocab_size, "vocabulary V").min(2).max(1 << 24);
  fields.add("rotary", flags.model.rotary, "rotary positions");
  fields.add("batch", flags.batch, "sequences B").min(1).max(1 << 16);
  fields.add("seconds", flags.seconds, "time to measure for").above(0).max(3600);
}

Repeats timed(const std::function<void()>& once, double seconds, int64_t warm, size_t least, const std::function<void()>& before) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); };
  for (int64_t i = 0; i < warm; ++i) {
    before();
    once();
  }
  std::vector<double> ms;
  const auto start = Clock::now();
  while (ms.size() < least || since(start) < 1e3 * seconds) {
    before();
    const auto begin = Clock::now();
    once();
    ms.push_back(since(begin));
  }
  std::sort(ms.begin(), ms.end());
  const size_t n = ms.size();
  return {(ms[(n - 1) / 2] + ms[n / 2]) / 2, ms.front(), ms[static_cast<size_t>(0.99 * static_cast<double>(n - 1))],
          static_cast<int64_t>(n)};
}

Json bench_row(const char* what, const BenchFlags& flags, const Repeats& times, int64_t base) {
  const LanguageOptions& o = flags.model;
  return {{"peer", "aot"},
          {"what", what},
          {"ms", times.median_ms},
          {"min_ms", times.min_ms},
          {"p99_ms", times.p99_ms},
          {"repeats", times.repeats},
          {"threads", thread_count()},
          {"torch", TORCH_VERSION},
          {"dtype", flags.dtype},
          {"path", name_of(cpu_path())},
          {"mixer", o.mixer},
          {"shape",
           {{"width", o.width},
            {"layers", o.layers},
            {"heads", o.heads},
            {"tokens", o.context},
            {"vocab", o.vocab_size},
            {"batch", flags.batch},
            {"mask", flags.mask}}},
          {"rss_mb", megabytes(peak_resident_bytes())},
          {"base_rss_mb", megabytes(base)},
          {"cpu", cpu_name()}};
}

int64_t counted_parameters(const LanguageModel& model) {
  int64_t count = 0;
  for (const Parameter& parameter : model.parameters())
    if (parameter.name != "position") count += parameter.value.numel();
  return count;
}

void print_bench_row(const Json& json, const GeneralOptions& general) {
  if (general.json) {
    print(dump_json(json) + "\n");
    return;
  }
  print(fmt::format("{}: {:.3f} ms (best {:.3f}, {} repeats, {} threads), {:.0f} tokens/s, {:.0f} MB above the library's {:.0f}\n",
                    json["what"].get<std::string>(), json["ms"].get<double>(), json["min_ms"].get<double>(), json["repeats"].get<int64_t>(),
                    json["threads"].get<int64_t>(), json["tokens_per_s"].get<double>(),
                    json["rss_mb"].get<double>() - json["base_rss_mb"].get<double>(), json["base_rss_mb"].get<double>()));
}

}  // namespace aot
