// SPDX-License-Identifier: Apache-2.0
// Tensors of a file made elsewhere, by name, read one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/io/pt_file.h"

namespace aot {

class NamedTensors {
 public:
  virtual ~NamedTensors() = default;
  /// The file or folder, for messages.
  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual const std::vector<std::string>& names() const = 0;
  /// Null when there is no tensor of that name.
  [[nodiscard]] virtual const std::vector<int64_t>* shape(const std::string& name) const = 0;
  /// Whether there is a tensor of that name, of floating-point numbers: what is needed to read it.
  [[nodiscard]] virtual bool is_floating(const std::string& name) const = 0;
  /// The numbers as float32, contiguous, in memory of their own. Throws FileError: `missing tensor`, `dtype`.
  [[nodiscard]] virtual at::Tensor read_any(const std::string& name) const = 0;
  /// The same, of a tensor without NaN and infinity. Throws `non-finite value` too.
  [[nodiscard]] at::Tensor read(const std::string& name) const;
  /// Whether both names mean the same numbers of the file, which has them once: what torch.save makes of shared tensors.
  [[nodiscard]] virtual bool stored_once(const std::string& /*a*/, const std::string& /*b*/) const { return false; }
  [[nodiscard]] bool has(const std::string& name) const { return shape(name) != nullptr; }
  /// The shape of a tensor that must be there with `rank` dimensions of at least 1, from which settings of a model are taken. Throws
  /// FileError: `missing tensor`, `needs`.
  [[nodiscard]] const std::vector<int64_t>& shape(const std::string& name, size_t rank) const;
};

/// model.safetensors of `folder`, or the shards that model.safetensors.index.json lists; or one safetensors file.
std::unique_ptr<NamedTensors> open_safetensors(const std::string& path);

/// The tensors of a state_dict in a file of torch.save, without the first of `prefixes` that a name starts with, repeatedly. `file` is
/// kept.
std::unique_ptr<NamedTensors> open_state_dict(std::shared_ptr<const PtFile> file, const PickleValue& dict,
                                              std::vector<std::string> prefixes);

/// The tensors of `path`: a folder or file of safetensors, or a state_dict of torch.save, bare or under "state_dict" or "model".
std::unique_ptr<NamedTensors> open_tensors(const std::string& path, std::vector<std::string> prefixes);

}  // namespace aot
