// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>

#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include "aot/core/clock.h"
#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/machine.h"
#include "aot/core/text.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/kernels/cpu/linear.h"
#include "aot/kernels/cpu/path.h"
#include "aot/ops/ceilings.h"
#include "aot/ops/matmul.h"
#include "aot/ops/mssa_kernel.h"
#include "apps/command.h"

namespace aot {
namespace {

std::string listed(const std::vector<std::string>& words) {
  return words.empty() ? "none" : joined(words);
}

struct DoctorFlags {
  bool tune = false;
};

void describe(Fields& fields, DoctorFlags& flags) {
  fields.heading("Doctor");
  fields.add("tune", flags.tune, "time every CPU path and say which to set");
}

std::vector<std::string> path_names() {
  std::vector<std::string> names;
  for (const CpuPath path : supported_cpu_paths()) names.emplace_back(name_of(path));
  return names;
}

double best_gflops(double flop, const std::function<void()>& work) {
  double seconds = 1e9;
  for (int i = 0; i < 12; ++i) {
    const Clock::time_point start = Clock::now();
    work();
    seconds = std::min(seconds, seconds_since(start));
  }
  return flop / seconds / 1e9;
}

constexpr int64_t kTuneRows = 2048, kTuneWidth = 1024;  // of the products

/// GFLOP/s of our products and our attention on each CPU path: what AOT_CPU_PATH chooses between.
Json tuned() {
  const c10::InferenceMode guard;
  const int64_t rows = kTuneRows, width = kTuneWidth, heads = 8, tokens = 1024, head_dim = 64;
  const CpuPath before = cpu_path();
  const at::Tensor x = at::randn({rows, width}), w = at::randn({width, width}), out = at::empty({rows, width});
  const at::Tensor x_half = x.to(at::kBFloat16), w_half = w.to(at::kBFloat16), out_half = out.to(at::kBFloat16);
  const at::Tensor a = at::randn({1, heads, tokens, head_dim});
  const double product = 2.0 * rows * width * width, attention = 2.0 * heads * tokens * tokens * head_dim;
  Json rates = Json::array();
  for (const CpuPath path : supported_cpu_paths()) {
    set_cpu_path(path);
    rates.push_back({{"path", name_of(path)},
                     {"float32_gflops", best_gflops(product, [&] { multiply_into(out, x, w); })},
                     {"bfloat16_gflops", best_gflops(product, [&] { multiply_into(out_half, x_half, w_half); })},
                     {"attention_gflops", best_gflops(attention, [&] { (void)mssa_kernel_attention(a, nullptr, {.causal = true}); })}});
  }
  set_cpu_path(before);
  return rates;
}

/// The path with the highest of these rates, and its lead over the one in force as a share.
std::pair<std::string, double> fastest(const Json& rates, const char* what) {
  const auto& best = *std::max_element(rates.begin(), rates.end(), [&](const Json& a, const Json& b) { return a[what] < b[what]; });
  double current = 0;
  for (const Json& row : rates)
    if (row["path"] == name_of(cpu_path())) current = row[what].get<double>();
  return {best["path"].get<std::string>(), best[what].get<double>() / current - 1};
}

std::string tuning_for_people(const Json& rates) {
  constexpr double kNoise = 0.1;
  std::string out = fmt::format("\n{:<18} {:>10} {:>10} {:>10}   GFLOP/s: products of {} x {} x {}, causal attention\n", "path", "float32",
                                "bfloat16", "attention", kTuneRows, kTuneWidth, kTuneWidth);
  for (const Json& row : rates)
    out += fmt::format("{:<18} {:>10.0f} {:>10.0f} {:>10.0f}\n", row["path"].get<std::string>(), row["float32_gflops"].get<double>(),
                       row["bfloat16_gflops"].get<double>(), row["attention_gflops"].get<double>());
  for (const char* type : {"float32", "bfloat16"}) {
    const auto [path, lead] = fastest(rates, fmt::format("{}_gflops", type).c_str());
    out += lead < kNoise ? fmt::format("{}: {}, in force, is the fastest here\n", type, name_of(cpu_path()))
                         : fmt::format("{}: set AOT_CPU_PATH={}, {:.0f} % faster than {}\n", type, path, 100 * lead, name_of(cpu_path()));
  }
  return out;
}

std::string text_for_people(const Json& facts, const Machine& machine, const std::vector<std::string>& runtimes) {
  std::string out;
  const auto row = [&out](const char* what, const std::string& value) { out += fmt::format("{:<18} {}\n", what, value); };
  row("aot", facts["aot"]);
  row("LibTorch", facts["libtorch"]);
  row("compiler", facts["compiler"]);
  row("processor", machine.cpu);
  row("features", listed(machine.features));
  row("CPU path", fmt::format("{}{} (of {})", facts["cpu_path"].get<std::string>(), cpu_path_is_forced() ? ", by AOT_CPU_PATH" : "",
                              joined(path_names())));
  row("products",
      fmt::format("float32 {}, bfloat16 {}", facts["float32_products"].get<std::string>(), facts["bfloat16_products"].get<std::string>()));
  row("LibTorch kernels", facts["kernels"]);
  row("threads", fmt::format("{} of {} processors", facts["threads"].get<int64_t>(), machine.processors));
  row("float32 peak", fmt::format("{:.0f} GFLOP/s of multiply-adds; LibTorch's matrix product {:.0f}",
                                  facts["multiply_add_gflops"].get<double>(), facts["matmul_gflops"].get<double>()));
  row("OpenMP runtimes", listed(runtimes));
  row("device", facts["device"]);
  row("memory", fmt::format("{} available of {}", bytes_text(machine.available_memory_bytes), bytes_text(machine.memory_bytes)));
  row("disk here", bytes_text(facts["free_disk_bytes"].get<double>()) + " free");
  return out;
}

void run(const DoctorFlags& flags, const GeneralOptions& general) {
  const at::Device device = parse_device(general.device);
  const Machine machine = this_machine();
  const Versions version = versions();
  // Measured first: OpenMP runtimes may be mapped only when work starts.
  const double gflops = measured_matmul_gflops(1024);
  const std::vector<std::string> runtimes = openmp_runtimes();
  std::error_code ignored;
  const std::filesystem::space_info space = std::filesystem::space(".", ignored);
  const MatmulChoice choice = matmul_choice();
  const auto whose = [](bool own) { return own ? "ours" : "LibTorch's"; };
  Json facts = {{"aot", version.aot},
                {"libtorch", version.libtorch},
                {"compiler", version.compiler},
                {"cpu", machine.cpu},
                {"features", machine.features},
                {"cpu_path", name_of(cpu_path())},
                {"cpu_paths", path_names()},
                {"float32_products", whose(choice.float32)},
                {"bfloat16_products", whose(choice.bfloat16)},
                {"kernels", version.kernels},
                {"processors", machine.processors},
                {"threads", thread_count()},
                {"multiply_add_gflops", measured_multiply_add_gflops()},
                {"matmul_gflops", gflops},
                {"openmp_runtimes", runtimes},
                {"device", device.str()},
                {"memory_bytes", machine.memory_bytes},
                {"available_memory_bytes", machine.available_memory_bytes},
                {"free_disk_bytes", ignored ? 0 : static_cast<int64_t>(space.available)}};
  if (flags.tune) facts["tuning"] = tuned();
  print(general.json ? dump_json(facts) + "\n"
                     : text_for_people(facts, machine, runtimes) + (flags.tune ? tuning_for_people(facts["tuning"]) : ""));
  if (runtimes.size() > 1)
    throw Error(ExitCode::failed, str(runtimes.size(), " OpenMP runtimes are mapped into one process: ", listed(runtimes)),
                "their threads fight; link only LibTorch's and clear LD_PRELOAD");
}

}  // namespace

void add_doctor(Subcommand& command) {
  struct State {
    DoctorFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->fields, state->flags);
  set_examples(command.app, "aot doctor\naot doctor --json --threads 1\naot doctor --tune\n");
  state->fields.add_flags(command.app);
  command.app.callback([state, &general = command.general] {
    resolve(state->fields);
    run(state->flags, general);
  });
}

}  // namespace aot
