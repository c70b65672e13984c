// SPDX-License-Identifier: Apache-2.0
// The checksums of chunks are set right first, so that what is behind them is reached.
#include <zlib.h>

#include <string>

#include "tests/fuzz/image_file.h"

namespace {

std::string with_right_checksums(std::string bytes) {
  const auto number = [&bytes](size_t at) {
    size_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  constexpr size_t kAround = 12;  // length, kind, checksum
  for (size_t at = 8; bytes.size() >= kAround && at <= bytes.size() - kAround;) {
    const size_t length = number(at);
    if (length > bytes.size() - at - kAround) break;
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + at + 4), static_cast<uInt>(length + 4));
    for (size_t i = 0; i < 4; ++i) bytes[at + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i) & 255);
    at += kAround + length;
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  const auto decode = [](std::string_view bytes, const std::string& path, int64_t channels, int64_t, Image& into) {
    decode_png(bytes, path, channels, into);
  };
  if (size > 0 && (data[0] & 0x80) != 0) {
    const std::string mended = static_cast<char>(data[0]) + with_right_checksums(std::string(text_of(data + 1, size - 1)));
    try_image(reinterpret_cast<const uint8_t*>(mended.data()), mended.size(), read_png_size, decode);
  } else {
    try_image(data, size, read_png_size, decode);
  }
  return 0;
}
