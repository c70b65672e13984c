// SPDX-License-Identifier: Apache-2.0
// Batches of images as float32, made ahead of their use by background workers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "aot/data/augment.h"
#include "aot/data/image_dataset.h"
#include "aot/data/view.h"

namespace aot {

/// Order in which the images of a split come.
enum class ImageOrder {
  shuffled,    // epochs without end, each in an order of its own: for training
  sequential,  // each image once, in the order of the split: for evaluation
};

struct ImageLoaderOptions {
  uint64_t seed = 0;
  ImageOrder order = ImageOrder::shuffled;
  /// Where to begin in the sequence of all epochs: epoch e, position p is sample e * size + p.
  int64_t first_sample = 0;
  int64_t batch = 1;
  int64_t workers = 1;
  std::vector<double> mean, std;  // per channel: a value is (pixel / 255 - mean) / std
  ViewOptions view;
  AugmentOptions augment;
};

/// One batch, valid until the next call of `next`.
struct ImageBatch {
  int64_t first_sample = 0;
  int64_t count = 0;                // images; in sequential order the last batch may be smaller, and 0 says that there are no more
  const float* pixels = nullptr;    // (count, channels, height, width)
  const int64_t* labels = nullptr;  // (count)
  // Where images were mixed: image i is of labels[i] by the share `weight` and of other_labels[i] by the rest.
  const int64_t* other_labels = nullptr;  // (count); null: not mixed
  double weight = 1;
};

/// The image at `position` of epoch `epoch` is a function of (seed, epoch, position) alone, and so is what augmentation does to it; how a
/// batch is mixed is one of (seed, first sample, batch size). So neither the number of workers nor where a run was stopped changes a batch.
/// Workers are up to two batches ahead and sleep when that is done. `next` is for one thread.
class ImageLoader {
 public:
  /// `split` must outlive the loader. Throws UsageError for options that cannot be.
  ImageLoader(const ImageSplit& split, const ImageLoaderOptions& options);
  ~ImageLoader();
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  /// The next batch. Throws what a worker met while making it.
  ImageBatch next();
  /// Bytes of memory that a loader's batches and its order of images take; a double, since options may ask for any number.
  static double buffer_bytes(const ImageSplit& split, const ImageLoaderOptions& options);
  /// How long `next` had to wait for workers in all: what the loader cost a consumer.
  [[nodiscard]] double waited_seconds() const { return waited_seconds_; }
  [[nodiscard]] int64_t height() const { return height_; }
  [[nodiscard]] int64_t width() const { return width_; }

 private:
  static constexpr int64_t kBuffers = 3;  // one in use, two ahead
  static constexpr int64_t kRows = 8;     // of a batch that a worker takes at once

  struct Buffer {
    std::vector<float> pixels;
    std::vector<int64_t> labels, other_labels;
    double weight = 1;
    int64_t missing = 0;       // rows not made yet
    std::exception_ptr error;  // the first one met
  };
  /// Rows [row, row + indices.size()) of batch `batch`, and which images they are.
  struct Task {
    int64_t batch = 0, row = 0;
    std::vector<int64_t> indices;
  };
  struct Scratch {
    Image image, other;
  };

  void work();
  bool take(Task& task);
  void make(const Task& task, Scratch& scratch);
  void view(int64_t index, Random& random, Scratch& scratch) const;
  void normalise(const Image& image, float* into) const;
  void erase(Random& random, float* image) const;
  void mix(int64_t batch);
  [[nodiscard]] int64_t rows_of(int64_t batch) const;
  int64_t index_of(int64_t sample);

  const ImageSplit& split_;
  ImageLoaderOptions options_;
  int64_t height_, width_;             // of the images in a batch
  std::vector<float> scale_, offset_;  // per channel: value = pixel * scale + offset
  Buffer buffers_[kBuffers];
  double waited_seconds_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Batches are counted from first_sample; batch n uses buffer n mod kBuffers.
  int64_t taken_ = 0;                      // batches given to the consumer
  int64_t next_batch_ = 0, next_row_ = 0;  // what is to be made next
  int64_t epoch_ = -1;
  std::vector<int32_t> order_;  // of epoch_
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

/// The order of one epoch: a permutation of 0, ..., size - 1 that is a function of the arguments alone.
std::vector<int32_t> order_of_epoch(uint64_t seed, int64_t epoch, int64_t size);

}  // namespace aot
