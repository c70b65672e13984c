// SPDX-License-Identifier: Apache-2.0
// IDX: arrays of bytes as the MNIST files keep them, plain or gzip (docs/images.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aot/io/byte_stream.h"

namespace aot {

/// One file of unsigned bytes, read item by item: an item is what the first dimension counts.
class IdxFile {
 public:
  /// Reads the header. Throws FileError: `bad magic`, `byte order?`, `size overflows`, `header needs`, also when the file is too short for
  /// what its header says, as far as that can be told before reading it.
  explicit IdxFile(const std::string& path);

  [[nodiscard]] const std::string& path() const { return stream_.path(); }
  [[nodiscard]] const std::vector<int64_t>& shape() const { return shape_; }
  [[nodiscard]] int64_t count() const { return shape_[0]; }
  /// Bytes of one item.
  [[nodiscard]] int64_t item_bytes() const { return item_bytes_; }

  /// The next item's bytes. After the last one checks that the file ends there. REQUIRES: called at most count() times.
  void read_item(uint8_t* into);

 private:
  ByteStream stream_;
  std::vector<int64_t> shape_;
  int64_t item_bytes_ = 1, read_ = 0;
};

}  // namespace aot
