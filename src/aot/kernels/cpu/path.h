// SPDX-License-Identifier: Apache-2.0
// Which instruction set the CPU kernels use. Every kernel is compiled once per path (cpu/isa/) and chosen at run time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aot {

enum class CpuPath {
  generic,      // four lanes, whatever the compiler's baseline has
  avx2,         // AVX2 and FMA
  avx512,       // AVX-512 F, DQ, BW, VL
  avx512_bf16,  // the same, and bfloat16 products on the processor's own dot instruction
};

std::string_view name_of(CpuPath path);
std::optional<CpuPath> parse_cpu_path(std::string_view name);

/// Paths that this processor can run, slowest first.
std::vector<CpuPath> supported_cpu_paths();

/// What decides, on a processor, who computes and how: never a timing (docs/kernels.md has the tables).
struct Processor {
  enum class Vendor { amd, intel, other };
  Vendor vendor = Vendor::other;
  unsigned family = 0;
  CpuPath widest = CpuPath::generic;  // the last of the supported paths
  bool amx = false;                   // tiles of bfloat16, which LibTorch's library uses and we do not
};

Processor this_processor();

/// What a processor does best: its widest vectors, and bfloat16 dots only where they are known to be faster than float32 products
/// (AMD from family 25 on; the Intel parts that we measured lose by them).
CpuPath best_cpu_path(const Processor& processor);
CpuPath best_cpu_path();  // on this one

/// The path in force: AOT_CPU_PATH if that is set, else the best. Throws UsageError when the variable names no path or one that this
/// processor cannot run.
CpuPath cpu_path();

/// Whether AOT_CPU_PATH is set.
bool cpu_path_is_forced();

/// Takes `path` from here on; for a run that is resumed, and for tests. Call it between operations only. Throws UsageError when this
/// processor cannot run it.
void set_cpu_path(CpuPath path);

}  // namespace aot
