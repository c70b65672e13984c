// SPDX-License-Identifier: Apache-2.0
// Tensors in safetensors files (docs/core.md).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/atomic.h"
#include "aot/core/parameters.h"
#include "aot/io/safetensors.h"

namespace aot {

/// Writes `tensors` as `file` of a folder in the making.
void save_tensors(AtomicFolder& folder, const std::string& file, const Parameters& tensors,
                  std::map<std::string, std::string> metadata = {});

/// Which dtypes a file may have where float32 is needed: that alone, or half types too, which are widened.
enum class Stored { exactly, or_half };

/// Throws FileError, naming the tensor, unless the file's tensors have exactly these names, dtypes and shapes: `missing tensor`,
/// `unexpected tensor`, `model needs`.
void check_tensors(const SafetensorsFile& file, const Parameters& expected, Stored stored = Stored::exactly);

/// Checks and copies each tensor's numbers. Throws FileError also for `non-finite value` and `digest mismatch`.
/// Nothing is changed unless all fit.
void load_tensors(const SafetensorsFile& file, const Parameters& into, Stored stored = Stored::exactly);

/// The same into parameters that nobody uses yet: read where they are, one after the other, so no second copy is held.
void fill_tensors(const SafetensorsFile& file, const Parameters& into, Stored stored = Stored::exactly);

/// The dtype of a safetensors entry; nothing for one that we do not compute with.
std::optional<at::ScalarType> scalar_type_of(const std::string& format_name);

/// A tensor to write whose numbers are made when they are needed, twice, and must be the same: float32, contiguous.
struct LazyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> read;
};

/// Writes `tensors` in that dtype, one in memory at a time, as `file` of a folder in the making.
void save_tensors(AtomicFolder& folder, const std::string& file, const std::vector<LazyTensor>& tensors, at::ScalarType dtype);

/// Position of the first NaN or infinity in row-major order, or -1; integers never hold one.
int64_t first_non_finite(const at::Tensor& tensor);

}  // namespace aot
