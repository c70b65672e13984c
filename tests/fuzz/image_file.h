// SPDX-License-Identifier: Apache-2.0
// What the targets of JPEG and PNG do with a decoder. The first byte chooses channels and size, the rest is the file.
#pragma once

#include "aot/io/image_file.h"
#include "tests/fuzz/target.h"

namespace aot {

/// `size_of` and `decode` belong to one format.
template <class SizeOf, class Decode>
void try_image(const uint8_t* data, size_t size, const SizeOf& size_of, const Decode& decode) {
  constexpr int64_t kMostPixels = 1 << 20;  // larger images are allowed, and slow under sanitizers
  if (size == 0) return;
  const int64_t channels = (data[0] & 1) != 0 ? 3 : 1, shrink = int64_t{1} << (data[0] >> 1 & 3);
  const std::string_view bytes = text_of(data + 1, size - 1);
  ImageSize told;
  const bool header_is_good = accepted([&] { told = size_of(bytes, "x"); });
  if (header_is_good && told.height * told.width > kMostPixels) return;
  Image image;
  const bool whole = accepted([&] { decode(bytes, "x", channels, shrink, image); });
  if (!whole) return;
  require(header_is_good, "what is decoded has a good header");
  require(image.channels == channels && image.pixels.size() == static_cast<size_t>(image.height * image.width * channels),
          "the pixels are all there");
  require(image.height <= told.height && image.width <= told.width, "an image is not larger than its header says");
}

}  // namespace aot
