// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/machine.h"
#include "aot/core/text.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "apps/command.h"

namespace aot {
namespace {

std::string listed(const std::vector<std::string>& words) {
  return words.empty() ? "none" : joined(words);
}

std::string text_for_people(const Json& facts, const Machine& machine, const std::vector<std::string>& runtimes) {
  std::string out;
  const auto row = [&out](const char* what, const std::string& value) { out += fmt::format("{:<18} {}\n", what, value); };
  row("aot", facts["aot"]);
  row("LibTorch", facts["libtorch"]);
  row("compiler", facts["compiler"]);
  row("processor", machine.cpu);
  row("features", listed(machine.features));
  row("LibTorch kernels", facts["kernels"]);
  row("threads", fmt::format("{} of {} processors", facts["threads"].get<int64_t>(), machine.processors));
  row("matrix product", fmt::format("{:.0f} GFLOP/s in float32", facts["matmul_gflops"].get<double>()));
  row("OpenMP runtimes", listed(runtimes));
  row("device", facts["device"]);
  row("memory", fmt::format("{} available of {}", bytes_text(machine.available_memory_bytes), bytes_text(machine.memory_bytes)));
  row("disk here", bytes_text(facts["free_disk_bytes"].get<double>()) + " free");
  return out;
}

void run(const GeneralOptions& general) {
  const at::Device device = parse_device(general.device);
  const Machine machine = this_machine();
  const Versions version = versions();
  // Measured first: OpenMP runtimes may be mapped only when work starts.
  const double gflops = measured_matmul_gflops();
  const std::vector<std::string> runtimes = openmp_runtimes();
  std::error_code ignored;
  const std::filesystem::space_info space = std::filesystem::space(".", ignored);
  const Json facts = {{"aot", version.aot},
                      {"libtorch", version.libtorch},
                      {"compiler", version.compiler},
                      {"cpu", machine.cpu},
                      {"features", machine.features},
                      {"kernels", version.kernels},
                      {"processors", machine.processors},
                      {"threads", thread_count()},
                      {"matmul_gflops", gflops},
                      {"openmp_runtimes", runtimes},
                      {"device", device.str()},
                      {"memory_bytes", machine.memory_bytes},
                      {"available_memory_bytes", machine.available_memory_bytes},
                      {"free_disk_bytes", ignored ? 0 : static_cast<int64_t>(space.available)}};
  print(general.json ? dump_json(facts) + "\n" : text_for_people(facts, machine, runtimes));
  if (runtimes.size() > 1)
    throw Error(ExitCode::failed, str(runtimes.size(), " OpenMP runtimes are mapped into one process: ", listed(runtimes)),
                "their threads fight; link only LibTorch's and clear LD_PRELOAD");
}

}  // namespace

void add_doctor(Subcommand& command) {
  set_examples(command.app, "aot doctor\naot doctor --json --threads 1\n");
  command.app.callback([&general = command.general] { run(general); });
}

}  // namespace aot
