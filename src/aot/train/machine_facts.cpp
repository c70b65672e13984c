// SPDX-License-Identifier: Apache-2.0
#include "aot/train/machine_facts.h"

#include <algorithm>
#include <optional>

#include <ATen/Parallel.h>

#include "aot/core/device.h"
#include "aot/core/machine.h"
#include "aot/io/error.h"
#include "aot/kernels/cpu/path.h"

namespace aot {

MachineFacts machine_facts() {
  const std::string cpu = this_machine().cpu;
  return {.cpu = cpu.empty() ? "unknown" : cpu,
          .kernels = versions().kernels,
          .path = std::string(name_of(cpu_path())),
          .threads = thread_count()};
}

void take_machine(const MachineFacts& of_run, int64_t threads) {
  if (threads == 0) at::set_num_threads(static_cast<int>(of_run.threads));
  const std::vector<CpuPath> supported = supported_cpu_paths();
  const std::optional<CpuPath> path = parse_cpu_path(of_run.path);
  if (path && !cpu_path_is_forced() && std::find(supported.begin(), supported.end(), *path) != supported.end()) set_cpu_path(*path);
}

std::vector<std::string> machine_differences(const MachineFacts& of_run, const MachineFacts& now) {
  std::vector<std::string> out;
  const auto compare = [&out](const char* what, const auto& before, const auto& after) {
    if (before != after)
      out.push_back(str("the run was made with ", what, " ", before, ", now it is ", after, ": results may differ in their last bits"));
  };
  compare("processor", of_run.cpu, now.cpu);
  compare("kernels for", of_run.kernels, now.kernels);
  if (!of_run.path.empty()) compare("the path", of_run.path, now.path);
  compare("a thread count of", of_run.threads, now.threads);
  return out;
}

}  // namespace aot
