// SPDX-License-Identifier: Apache-2.0
#include "aot/io/image_file.h"

#include "aot/io/error.h"
#include "aot/io/file.h"

namespace aot {
namespace {

/// "JPEG" or "PNG".
std::string_view kind_of(std::string_view bytes, const std::string& path) {
  if (bytes.empty()) throw FileError(path, "", "empty file");
  if (bytes.size() > kMaxImageFileBytes)
    throw FileError(path, "", str("larger than ", limit_text(kMaxImageFileBytes), " (found ", bytes.size(), " bytes)"));
  const std::string_view kind = looks_like(bytes);
  if (kind != "JPEG" && kind != "PNG") throw FileError(path, "", str("neither JPEG nor PNG", kind.empty() ? "" : ", looks like ", kind));
  return kind;
}

}  // namespace

void check_image_size(const ImageSize& size, const std::string& path) {
  if (size.width < 1 || size.height < 1) throw FileError(path, "", str(size.width < 1 ? "width" : "height", " is 0"));
  if (size.width > kMaxImageSide || size.height > kMaxImageSide)
    throw FileError(path, "", str(size.width, " x ", size.height, " pixels: larger than ", kMaxImageSide, " on a side"));
  if (size.width * size.height > kMaxImagePixels)
    throw FileError(path, "", str(size.width, " x ", size.height, " pixels: larger than ", kMaxImagePixels, " in all"));
}

ImageSize read_image_size(std::string_view bytes, const std::string& path) {
  return kind_of(bytes, path) == "JPEG" ? read_jpeg_size(bytes, path) : read_png_size(bytes, path);
}

void decode_image(std::string_view bytes, const std::string& path, int64_t channels, int64_t shrink, Image& into) {
  if (kind_of(bytes, path) == "JPEG")
    decode_jpeg(bytes, path, channels, shrink, into);
  else
    decode_png(bytes, path, channels, into);
}

}  // namespace aot
