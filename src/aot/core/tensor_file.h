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

/// Which dtypes a file may have where float32 is needed: that alone, or half types and int8 too, which are widened. A matrix NAME in int8
/// has beside it NAME.scale in float32, a number for each row by which that row is multiplied.
enum class Stored { exactly, or_smaller };

/// Throws FileError, naming the tensor, unless the file's tensors have exactly these names, dtypes and shapes: `missing tensor`,
/// `unexpected tensor`, `model needs`.
void check_tensors(const SafetensorsFile& file, const Parameters& expected, Stored stored = Stored::exactly);

/// Checks and copies each tensor's numbers. Throws FileError also for `non-finite value` and `digest mismatch`.
/// Nothing is changed unless all fit.
void load_tensors(const SafetensorsFile& file, const Parameters& into, Stored stored = Stored::exactly);

/// The same into parameters that nobody uses yet: read where they are, one after the other, so no second copy is held.
void fill_tensors(const SafetensorsFile& file, const Parameters& into, Stored stored = Stored::exactly);

/// The scales of a matrix in int8; null for every other entry.
const TensorEntry* scales_of(const SafetensorsFile& file, const TensorEntry& entry);

/// The matrix in float32. `scales` are its own.
at::Tensor read_int8(const SafetensorsFile& file, const TensorEntry& entry, const TensorEntry& scales);

/// The dtype of a safetensors entry; nothing for one that we do not compute with.
std::optional<at::ScalarType> scalar_type_of(const std::string& format_name);

/// A tensor to write whose numbers are made when they are needed, twice, and must be the same: float32, contiguous.
struct LazyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> read;
};

/// Writes `tensors` in that dtype, one in memory at a time, as `file` of a folder in the making. at::kChar: matrices of 32 x 32 numbers and
/// more in int8, rounded to 127 steps of the largest of each row, all else in float32; `read` is called four times then.
void save_tensors(AtomicFolder& folder, const std::string& file, const std::vector<LazyTensor>& tensors, at::ScalarType dtype);

/// Position of the first NaN or infinity in row-major order, or -1; integers never hold one.
int64_t first_non_finite(const at::Tensor& tensor);

}  // namespace aot
