// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG files in memory -> pixels (docs/images.md). What a file is, is told by its content, never by its name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aot/io/image.h"

namespace aot {

struct ImageSize {
  int64_t height = 0, width = 0;
};

/// No image file may be larger.
constexpr uint64_t kMaxImageFileBytes = 64u << 20;

/// The size that the header tells. Throws FileError: `neither JPEG nor PNG`, `larger than 16384`, and what is wrong with the header.
ImageSize read_image_size(std::string_view bytes, const std::string& path);

/// Decodes into `channels` (1 or 3) channels of 8 bits. A JPEG is decoded at 1 / `shrink` of its size, rounded up, where `shrink` is 1, 2,
/// 4 or 8: for a fraction of the work. A PNG always comes whole. Transparency is dropped; of an animation the first picture is taken.
/// Beyond the file and the result it takes at most kMaxDecoderBytes of memory. Throws FileError, also for a file that is cut or damaged:
/// never half a picture.
void decode_image(std::string_view bytes, const std::string& path, int64_t channels, int64_t shrink, Image& into);

constexpr int64_t kMaxDecoderBytes = int64_t{256} << 20;

/// The picture as a PNG file.
std::string encode_png(const Image& image);

// One format each, for decode_image and the fuzz targets.
ImageSize read_jpeg_size(std::string_view bytes, const std::string& path);
ImageSize read_png_size(std::string_view bytes, const std::string& path);
void decode_jpeg(std::string_view bytes, const std::string& path, int64_t channels, int64_t shrink, Image& into);
void decode_png(std::string_view bytes, const std::string& path, int64_t channels, Image& into);

/// Throws FileError unless both sides are above 0 and within kMaxImageSide and kMaxImagePixels.
void check_image_size(const ImageSize& size, const std::string& path);

}  // namespace aot
