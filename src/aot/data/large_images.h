// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "aot/io/image_file.h"

namespace aot {

/// Keeps the memory of several threads that decode within bounds: of images so large that each takes hundreds of megabytes, one at a time.
class LargeImages {
 public:
  /// As decode_image.
  void decode(std::string_view bytes, const std::string& path, int64_t channels, int64_t shrink, Image& into) {
    constexpr int64_t kLargePixels = 8'000'000;
    const ImageSize size = read_image_size(bytes, path);
    std::unique_lock<std::mutex> lock(one_at_a_time_, std::defer_lock);
    if (size.height * size.width > kLargePixels) lock.lock();
    decode_image(bytes, path, channels, shrink, into);
  }

 private:
  std::mutex one_at_a_time_;
};

}  // namespace aot
