// SPDX-License-Identifier: Apache-2.0
// A file from its start to its end, inflated on the way when it is gzip.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "aot/io/file.h"

namespace aot {

class ByteStream {
 public:
  /// Throws FileError as InputFile does, and when the file is empty.
  explicit ByteStream(const std::string& path);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;
  ByteStream& operator=(ByteStream&&) noexcept;

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] bool is_gzip() const { return inflater_ != nullptr; }
  /// The bytes that the stream cannot exceed: the file's size, or what deflate makes of that at most. For checks before allocating.
  [[nodiscard]] uint64_t most_bytes() const;
  /// Fills `into` and returns how many bytes there were: fewer than asked for only at the end. Throws FileError: `gzip: cut`, `gzip:
  /// damaged`.
  size_t read(void* into, size_t bytes);

 private:
  struct Inflater;
  size_t read_file(void* into, size_t bytes);
  size_t inflate_some(void* into, size_t bytes);

  InputFile file_;
  uint64_t at_ = 0;
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace aot
