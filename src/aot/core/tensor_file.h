// SPDX-License-Identifier: Apache-2.0
// Tensors in safetensors files (docs/core.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

#include "aot/core/atomic.h"
#include "aot/core/parameters.h"
#include "aot/io/safetensors.h"

namespace aot {

/// Writes `tensors` as `file` of a folder in the making.
void save_tensors(AtomicFolder& folder, const std::string& file, const Parameters& tensors,
                  std::map<std::string, std::string> metadata = {});

/// Throws FileError, naming the tensor, unless the file's tensors have exactly these names, dtypes and shapes: `missing tensor`,
/// `unexpected tensor`, `model needs`.
void check_tensors(const SafetensorsFile& file, const Parameters& expected);

/// Checks and copies each tensor's numbers. Throws FileError also for `non-finite value` and `digest mismatch`.
/// Nothing is changed unless all fit.
void load_tensors(const SafetensorsFile& file, const Parameters& into);

/// Position of the first NaN or infinity in row-major order, or -1; integers never hold one.
int64_t first_non_finite(const at::Tensor& tensor);

}  // namespace aot
