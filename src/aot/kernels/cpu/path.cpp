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

bool bfloat16_products_pay() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__builtin_cpu_is("amd") || __get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
  const unsigned family = ((eax >> 8) & 0xF) + ((eax >> 20) & 0xFF);
  return family >= 25;
#else
  return false;
#endif
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

CpuPath best_cpu_path() {
  CpuPath best = supported_cpu_paths().back();
  if (best == CpuPath::avx512_bf16 && !bfloat16_products_pay()) best = CpuPath::avx512;
  return best;
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
