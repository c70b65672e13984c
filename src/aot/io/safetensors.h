// SPDX-License-Identifier: Apache-2.0
// The safetensors format, strictly: no holes, overlaps or trailing bytes. Files that we write carry a SHA-256 per tensor in `__metadata__`
// under "sha256.NAME".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "aot/io/file.h"
#include "aot/io/output.h"

namespace aot {

/// Name, element type and place of one tensor. `dtype` is the format's own: "F32", "BF16", "I64", ...
struct TensorEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // from the start of the file
  uint64_t bytes = 0;
};

/// Bytes of one element, or 0 for an unknown dtype.
size_t safetensors_dtype_bytes(const std::string& dtype);

class SafetensorsFile {
 public:
  /// Reads and checks the header. Throws FileError naming byte or tensor.
  explicit SafetensorsFile(const std::string& path);
  [[nodiscard]] const std::string& path() const { return file_.path(); }
  /// In order of offset.
  [[nodiscard]] const std::vector<TensorEntry>& tensors() const { return tensors_; }
  [[nodiscard]] const TensorEntry* find(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Copies the data of one tensor, checking its digest when the file has one (`digest mismatch`, tensor named).
  void read(const TensorEntry& entry, void* into) const;

 private:
  InputFile file_;
  std::vector<TensorEntry> tensors_;
  std::vector<size_t> by_name_;  // indices into tensors_
  std::map<std::string, std::string> metadata_;
};

/// A tensor to write: `data` holds `bytes` bytes in row-major little-endian order.
struct TensorData {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  const void* data = nullptr;
  uint64_t bytes = 0;
};

/// A tensor to write whose bytes are made when they are needed: `write` gives all of them to the sink, twice, and must give the same.
struct TensorStream {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::function<void(const ByteSink&)> write;
};

/// Writes a new file after asking for the space. Wider element types come first, which keeps every tensor aligned; digests per tensor and
/// `"format":"pt"` are added to `metadata`. Returns the SHA-256 of the whole file.
std::string write_safetensors(const std::string& path, const std::vector<TensorData>& tensors,
                              std::map<std::string, std::string> metadata = {});
std::string write_safetensors(const std::string& path, const std::vector<TensorStream>& tensors,
                              std::map<std::string, std::string> metadata = {});

}  // namespace aot
