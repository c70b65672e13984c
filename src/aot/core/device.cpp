// SPDX-License-Identifier: Apache-2.0
#include "aot/core/device.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "aot/io/error.h"

namespace aot {

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const bool has_cuda = at::hasCUDA();
  if (name == "auto") return has_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  if (name == "cuda" || name.rfind("cuda:", 0) == 0) {
    if (!has_cuda) throw UsageError("--device " + name + ": no CUDA device here", "use --device cpu");
    try {
      return at::Device(name);
    } catch (const std::exception&) {
    }
  }
  throw UsageError("--device: unknown device '" + name + "'", "need cpu, cuda, cuda:N or auto");
}

at::ScalarType parse_dtype(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "float64") return at::kDouble;
  if (name == "bfloat16") return at::kBFloat16;
  throw UsageError("unknown dtype '" + name + "'", "need float32, float64 or bfloat16");
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kBFloat16:
      return "bfloat16";
    default:
      return c10::toString(dtype);
  }
}

void set_threads(int64_t threads) {
  at::init_num_threads();
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
  at::set_num_interop_threads(1);
}

int64_t thread_count() {
  return at::get_num_threads();
}

int64_t peak_resident_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

int64_t resident_bytes() {
  long long total = 0, resident = 0;
  if (FILE* statm = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(statm, "%lld %lld", &total, &resident) != 2) resident = 0;
    std::fclose(statm);
  }
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace aot
