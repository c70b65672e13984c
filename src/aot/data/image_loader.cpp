// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_loader.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <utility>

#include "aot/core/random.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"

namespace aot {
namespace {

void check_options(const ImageSplit& split, const ImageLoaderOptions& options) {
  if (options.batch < 1) throw UsageError(str("batches need at least one image (found ", options.batch, ")"));
  if (options.workers < 1) throw UsageError(str("a loader needs at least one worker (found ", options.workers, ")"));
  if (options.first_sample < 0) throw UsageError(str("samples are counted from 0 (found ", options.first_sample, ")"));
  const auto channels = static_cast<size_t>(split.channels());
  if (options.mean.size() != channels || options.std.size() != channels)
    throw UsageError(str("need mean and std for ", channels, " channels (found ", options.mean.size(), " and ", options.std.size(), ")"));
  for (const double deviation : options.std)
    if (!(deviation > 0)) throw UsageError(str("std must be above 0 (found ", deviation, ")"));
  if (split.size() > std::numeric_limits<int32_t>::max())
    throw UsageError(str("has ", split.size(), " images, need at most ", std::numeric_limits<int32_t>::max()));
}

}  // namespace

std::vector<int32_t> order_of_epoch(uint64_t seed, int64_t epoch, int64_t size) {
  std::vector<int32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  Random random(derive_seed(seed, "order of an epoch", static_cast<uint64_t>(epoch)));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

ImageLoader::ImageLoader(const ImageSplit& split, const ImageLoaderOptions& options) : split_(split), options_(options) {
  check_options(split, options);
  for (size_t c = 0; c < options.mean.size(); ++c) {
    scale_.push_back(static_cast<float>(1 / (255 * options.std[c])));
    offset_.push_back(static_cast<float>(-options.mean[c] / options.std[c]));
  }
  for (Buffer& buffer : buffers_) {
    buffer.pixels.resize(static_cast<size_t>(options.batch * split.channels() * split.height() * split.width()));
    buffer.labels.resize(static_cast<size_t>(options.batch));
  }
  for (int64_t batch = 0; batch < kBuffers; ++batch) buffers_[batch].missing = rows_of(batch);
  const BlockedSignals blocked;
  for (int64_t i = 0; i < options.workers; ++i) threads_.emplace_back([this] { work(); });
}

ImageLoader::~ImageLoader() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

int64_t ImageLoader::rows_of(int64_t batch) const {
  if (options_.order == ImageOrder::shuffled) return options_.batch;
  return std::clamp<int64_t>(split_.size() - options_.first_sample - batch * options_.batch, 0, options_.batch);
}

ImageBatch ImageLoader::next() {
  using Clock = std::chrono::steady_clock;
  std::unique_lock<std::mutex> lock(mutex_);
  const int64_t batch = taken_;
  Buffer& buffer = buffers_[batch % kBuffers];
  if (buffer.missing > 0) {
    const Clock::time_point start = Clock::now();
    changed_.wait(lock, [&buffer] { return buffer.missing == 0; });
    waited_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
  }
  if (buffer.error != nullptr) std::rethrow_exception(buffer.error);
  ++taken_;
  if (batch > 0) buffers_[(batch - 1) % kBuffers].missing = rows_of(batch - 1 + kBuffers);
  lock.unlock();
  changed_.notify_all();
  return {options_.first_sample + batch * options_.batch, rows_of(batch), buffer.pixels.data(), buffer.labels.data()};
}

void ImageLoader::work() {
  Task task;
  Scratch scratch;
  while (take(task)) {
    std::exception_ptr error;
    try {
      make(task, scratch);
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    Buffer& buffer = buffers_[task.batch % kBuffers];
    if (error != nullptr && buffer.error == nullptr) buffer.error = error;
    buffer.missing -= static_cast<int64_t>(task.indices.size());
    if (buffer.missing == 0) changed_.notify_all();
  }
}

bool ImageLoader::take(Task& task) {
  std::unique_lock<std::mutex> lock(mutex_);
  // The buffer of batch taken_ - 1 is in the hands of the consumer.
  changed_.wait(lock, [this] { return stop_ || (next_batch_ < std::max<int64_t>(taken_, 1) - 1 + kBuffers && rows_of(next_batch_) > 0); });
  if (stop_) return false;
  task.batch = next_batch_;
  task.row = next_row_;
  task.indices.clear();
  const int64_t rows = rows_of(next_batch_), end = std::min(rows, next_row_ + kRows);
  for (; next_row_ < end; ++next_row_) task.indices.push_back(index_of(options_.first_sample + next_batch_ * options_.batch + next_row_));
  if (next_row_ == rows) {
    ++next_batch_;
    next_row_ = 0;
  }
  return true;
}

int64_t ImageLoader::index_of(int64_t sample) {
  if (options_.order == ImageOrder::sequential) return sample;
  const int64_t epoch = sample / split_.size();
  if (epoch != epoch_) {
    order_ = order_of_epoch(options_.seed, epoch, split_.size());
    epoch_ = epoch;
  }
  return order_[static_cast<size_t>(sample % split_.size())];
}

void ImageLoader::make(const Task& task, Scratch& scratch) {
  Buffer& buffer = buffers_[task.batch % kBuffers];
  const int64_t channels = split_.channels(), plane = split_.height() * split_.width();
  for (size_t i = 0; i < task.indices.size(); ++i) {
    const int64_t row = task.row + static_cast<int64_t>(i), sample = options_.first_sample + task.batch * options_.batch + row;
    Image& image = scratch.image;
    split_.read(task.indices[i], image);
    Random random(derive_seed(options_.seed, "augmentation of a sample", static_cast<uint64_t>(sample)));
    augment(options_.augment, random, image, scratch.other);
    float* out = buffer.pixels.data() + row * channels * plane;
    for (int64_t c = 0; c < channels; ++c) {
      const float scale = scale_[static_cast<size_t>(c)], offset = offset_[static_cast<size_t>(c)];
      const uint8_t* in = image.pixels.data() + c;
      for (int64_t p = 0; p < plane; ++p) out[c * plane + p] = static_cast<float>(in[p * channels]) * scale + offset;
    }
    buffer.labels[static_cast<size_t>(row)] = split_.label(task.indices[i]);
  }
}

}  // namespace aot
