// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "aot/io/image_file.h"

namespace aot {

/// Keeps the memory of any number of threads that decode within bounds: together they work on images of kMostPixels at most, or on one that
/// is larger. A pixel takes 3 bytes, in a progressive JPEG 6 more.
class LargeImages {
 public:
  static constexpr int64_t kMostPixels = 32'000'000;  // 288 MB

  /// The room of one image, for as long as it lives.
  class Room {
   public:
    Room(LargeImages& images, const ImageSize& size) : images_(images), pixels_(size.height * size.width) {
      std::unique_lock<std::mutex> lock(images_.mutex_);
      images_.changed_.wait(lock, [this] { return images_.pixels_ == 0 || images_.pixels_ + pixels_ <= kMostPixels; });
      images_.pixels_ += pixels_;
    }
    ~Room() {
      {
        const std::lock_guard<std::mutex> lock(images_.mutex_);
        images_.pixels_ -= pixels_;
      }
      images_.changed_.notify_all();
    }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;

   private:
    LargeImages& images_;
    int64_t pixels_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t pixels_ = 0;  // of the images at work
};

}  // namespace aot
