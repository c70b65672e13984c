// SPDX-License-Identifier: Apache-2.0
#include "aot/core/machine.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <ATen/Version.h>
#include <torch/headeronly/version.h>

namespace aot {
namespace {

constexpr const char* kFeatures[] = {"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"};

/// "key : value" of a file in /proc -> "value" for lines that start with `key`; the first such line.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

int64_t memory_bytes(const std::string& key) {
  return std::strtoll(proc_value("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

}  // namespace

Machine this_machine() {
  Machine machine;
  machine.cpu = proc_value("/proc/cpuinfo", "model name");
  std::istringstream flags(proc_value("/proc/cpuinfo", "flags"));
  std::set<std::string> has;
  for (std::string flag; flags >> flag;) has.insert(flag);
  for (const char* feature : kFeatures)
    if (has.count(feature) != 0) machine.features.emplace_back(feature);
  cpu_set_t allowed;
  machine.processors = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  machine.memory_bytes = memory_bytes("MemTotal");
  machine.available_memory_bytes = memory_bytes("MemAvailable");
  return machine;
}

Versions versions() {
#ifdef __clang__
  const char* compiler = "clang " __clang_version__;
#else
  const char* compiler = "GCC " __VERSION__;
#endif
  return {.aot = AOT_VERSION, .libtorch = TORCH_VERSION, .compiler = compiler, .kernels = at::get_cpu_capability()};
}

std::vector<std::string> openmp_runtimes() {
  std::set<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash), name = path.substr(path.rfind('/') + 1);
    for (const char* runtime : {"libgomp", "libomp", "libiomp"})
      if (name.rfind(runtime, 0) == 0) found.insert(path);
  }
  return {found.begin(), found.end()};
}

}  // namespace aot
