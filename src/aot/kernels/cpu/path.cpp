// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/path.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "aot/io/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace aot {
namespace {

constexpr CpuPath kPaths[] = {CpuPath::generic, CpuPath::avx2, CpuPath::avx512, CpuPath::avx512_bf16};

bool supported(CpuPath path) {
#if defined(__x86_64__)
  switch (path) {
    case CpuPath::generic:
      return true;
    case CpuPath::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case CpuPath::avx512:
      return supported(CpuPath::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    case CpuPath::avx512_bf16:
      return supported(CpuPath::avx512) && __builtin_cpu_supports("avx512bf16");
  }
#endif
  return path == CpuPath::generic;
}

CpuPath chosen_at_start() {
  if (!cpu_path_is_forced()) return best_cpu_path();
  const char* wanted = std::getenv("AOT_CPU_PATH");
  const std::optional<CpuPath> path = parse_cpu_path(wanted);
  if (!path || !supported(*path)) {
    std::string known;
    for (const CpuPath each : supported_cpu_paths()) known += (known.empty() ? "" : ", ") + std::string(name_of(each));
    throw UsageError(str("AOT_CPU_PATH=", wanted, path ? " cannot run on this processor" : " is no path"), "set one of " + known);
  }
  return *path;
}

std::atomic<CpuPath>& in_force() {
  static std::atomic<CpuPath> path{chosen_at_start()};
  return path;
}

}  // namespace

std::string_view name_of(CpuPath path) {
  switch (path) {
    case CpuPath::generic:
      return "generic";
    case CpuPath::avx2:
      return "avx2";
    case CpuPath::avx512:
      return "avx512";
    case CpuPath::avx512_bf16:
      return "avx512_bf16";
  }
  return "";
}

std::optional<CpuPath> parse_cpu_path(std::string_view name) {
  const auto* found = std::find_if(std::begin(kPaths), std::end(kPaths), [&](CpuPath path) { return name_of(path) == name; });
  return found == std::end(kPaths) ? std::nullopt : std::optional<CpuPath>(*found);
}

std::vector<CpuPath> supported_cpu_paths() {
  std::vector<CpuPath> out;
  std::copy_if(std::begin(kPaths), std::end(kPaths), std::back_inserter(out), supported);
  return out;
}

Processor this_processor() {
  Processor processor{.widest = supported_cpu_paths().back()};
#if defined(__x86_64__)
  if (__builtin_cpu_is("amd")) processor.vendor = Processor::Vendor::amd;
  if (__builtin_cpu_is("intel")) processor.vendor = Processor::Vendor::intel;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) processor.family = ((eax >> 8) & 0xF) + ((eax >> 20) & 0xFF);
  processor.amx = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 22 & 1) != 0;
#endif
  return processor;
}

CpuPath best_cpu_path(const Processor& processor) {
  const bool dots_pay = processor.vendor == Processor::Vendor::amd && processor.family >= 25;
  return processor.widest == CpuPath::avx512_bf16 && !dots_pay ? CpuPath::avx512 : processor.widest;
}

CpuPath best_cpu_path() {
  return best_cpu_path(this_processor());
}

CpuPath cpu_path() {
  return in_force().load(std::memory_order_relaxed);
}

bool cpu_path_is_forced() {
  const char* wanted = std::getenv("AOT_CPU_PATH");
  return wanted != nullptr && *wanted != '\0';
}

void set_cpu_path(CpuPath path) {
  if (!supported(path)) throw UsageError(str("the path ", name_of(path), " cannot run on this processor"));
  in_force().store(path, std::memory_order_relaxed);
}

}  // namespace aot
