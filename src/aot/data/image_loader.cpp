// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_loader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "aot/core/clock.h"
#include "aot/core/clones.h"
#include "aot/core/random.h"
#include "aot/core/signals.h"
#include "aot/data/mix.h"
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
  if (split.height() == 0 && options.view.image_size == 0) throw UsageError("these images have sizes of their own: need --image-size");
  if (options.view.resize > 0 && options.view.resize < options.view.image_size)
    throw UsageError(str("--resize ", options.view.resize, " is below --image-size ", options.view.image_size));
  if (split.size() > std::numeric_limits<int32_t>::max())
    throw UsageError(str("has ", split.size(), " images, need at most ", std::numeric_limits<int32_t>::max()));
}

AOT_CLONES void grey_plane(const uint8_t* from, int64_t plane, float scale, float offset, float* into) {
  for (int64_t p = 0; p < plane; ++p) into[p] = static_cast<float>(from[p]) * scale + offset;
}

AOT_CLONES void colour_planes(const uint8_t* from, int64_t plane, const float* scale, const float* offset, float* into) {
  const float scales[3] = {scale[0], scale[1], scale[2]}, offsets[3] = {offset[0], offset[1], offset[2]};
  for (int64_t p = 0; p < plane; ++p)
    for (int64_t c = 0; c < 3; ++c) into[c * plane + p] = static_cast<float>(from[3 * p + c]) * scales[c] + offsets[c];
}

ImageSize size_in_batch(const ImageSplit& split, const ViewOptions& view) {
  if (view.image_size > 0) return {view.image_size, view.image_size};
  return {split.height(), split.width()};
}

}  // namespace

std::vector<int32_t> order_of_epoch(uint64_t seed, int64_t epoch, int64_t size) {
  std::vector<int32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  Random random(derive_seed(seed, "order of an epoch", static_cast<uint64_t>(epoch)));
  shuffle(order, random);
  return order;
}

ImageLoader::ImageLoader(const ImageSplit& split, const ImageLoaderOptions& options)
    : split_(split),
      options_(options),
      height_(size_in_batch(split, options.view).height),
      width_(size_in_batch(split, options.view).width) {
  check_options(split, options);
  for (size_t c = 0; c < options.mean.size(); ++c) {
    scale_.push_back(static_cast<float>(1 / (255 * options.std[c])));
    offset_.push_back(static_cast<float>(-options.mean[c] / options.std[c]));
  }
  for (Buffer& buffer : buffers_) {
    buffer.pixels.resize(static_cast<size_t>(options.batch * split.channels() * height_ * width_));
    buffer.labels.resize(static_cast<size_t>(options.batch));
    buffer.other_labels.resize(static_cast<size_t>(options.batch));
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

double ImageLoader::buffer_bytes(const ImageSplit& split, const ImageLoaderOptions& options) {
  const ImageSize size = size_in_batch(split, options.view);
  const double numbers = static_cast<double>(split.channels()) * static_cast<double>(size.height) * static_cast<double>(size.width);
  const double row = sizeof(float) * numbers + 2 * sizeof(int64_t);  // pixels and both labels
  const double order = options.order == ImageOrder::shuffled ? sizeof(int32_t) * static_cast<double>(split.size()) : 0;
  return kBuffers * static_cast<double>(options.batch) * row + order;
}

int64_t ImageLoader::rows_of(int64_t batch) const {
  if (options_.order == ImageOrder::shuffled) return options_.batch;
  return std::clamp<int64_t>(split_.size() - options_.first_sample - batch * options_.batch, 0, options_.batch);
}

ImageBatch ImageLoader::next() {
  std::unique_lock<std::mutex> lock(mutex_);
  const int64_t batch = taken_;
  Buffer& buffer = buffers_[batch % kBuffers];
  if (buffer.missing > 0) {
    const Clock::time_point start = Clock::now();
    changed_.wait(lock, [&buffer] { return buffer.missing == 0; });
    waited_seconds_ += seconds_since(start);
  }
  if (buffer.error != nullptr) std::rethrow_exception(buffer.error);
  ++taken_;
  if (batch > 0) buffers_[(batch - 1) % kBuffers].missing = rows_of(batch - 1 + kBuffers);
  lock.unlock();
  changed_.notify_all();
  const bool is_mixed = options_.augment.mixup > 0 || options_.augment.cutmix > 0;
  return {options_.first_sample + batch * options_.batch,  rows_of(batch), buffer.pixels.data(), buffer.labels.data(),
          is_mixed ? buffer.other_labels.data() : nullptr, buffer.weight};
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
    Buffer& buffer = buffers_[task.batch % kBuffers];
    const auto rows = static_cast<int64_t>(task.indices.size());
    std::unique_lock<std::mutex> lock(mutex_);
    if (error != nullptr && buffer.error == nullptr) buffer.error = error;
    if (buffer.missing == rows) {  // the last of the batch
      lock.unlock();
      mix(task.batch);
      lock.lock();
    }
    buffer.missing -= rows;
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
  const int64_t values = split_.channels() * height_ * width_;
  for (size_t i = 0; i < task.indices.size(); ++i) {
    const int64_t row = task.row + static_cast<int64_t>(i), sample = options_.first_sample + task.batch * options_.batch + row;
    Random random(derive_seed(options_.seed, "augmentation of a sample", static_cast<uint64_t>(sample)));
    view(task.indices[i], random, scratch);
    augment(options_.augment, random, scratch.image, scratch.other);
    float* out = buffer.pixels.data() + row * values;
    normalise(scratch.image, out);
    erase(random, out);
    buffer.labels[static_cast<size_t>(row)] = split_.label(task.indices[i]);
  }
}

void ImageLoader::view(int64_t index, Random& random, Scratch& scratch) const {
  if (options_.augment.crop_scale > 0)
    read_part(split_, index, draw_crop(random, split_.size_of(index), options_.augment.crop_scale), height_, width_, scratch.image,
              scratch.other);
  else if (options_.view.image_size > 0)
    read_middle(split_, index, std::max(options_.view.resize, options_.view.image_size), options_.view.image_size, scratch.image,
                scratch.other);
  else
    split_.read(index, scratch.image);
  constexpr size_t kKept = 24'000'000;  // bytes: a larger image's memory is given back
  if (scratch.other.pixels.capacity() > kKept) scratch.other = {};
}

void ImageLoader::normalise(const Image& image, float* into) const {
  const int64_t plane = height_ * width_;
  if (image.channels == 3)
    colour_planes(image.pixels.data(), plane, scale_.data(), offset_.data(), into);
  else
    grey_plane(image.pixels.data(), plane, scale_[0], offset_[0], into);
}

/// Blanks with 0, which is the mean.
void ImageLoader::erase(Random& random, float* image) const {
  if (!(options_.augment.erase > 0 && random.uniform() < options_.augment.erase)) return;
  const Box box = draw_erased(random, {height_, width_});
  const auto top = static_cast<int64_t>(box.top), left = static_cast<int64_t>(box.left);
  for (int64_t c = 0; c < split_.channels(); ++c)
    for (int64_t y = top; y < top + static_cast<int64_t>(box.height); ++y)
      std::fill_n(image + (c * height_ + y) * width_ + left, static_cast<int64_t>(box.width), 0.F);
}

void ImageLoader::mix(int64_t batch) {
  if (options_.augment.mixup == 0 && options_.augment.cutmix == 0) return;
  Buffer& buffer = buffers_[batch % kBuffers];
  Random random(derive_seed(options_.seed, "mixing of a batch", static_cast<uint64_t>(options_.first_sample + batch * options_.batch)));
  const int64_t rows = rows_of(batch);
  buffer.weight =
      mix_batch(random, options_.augment.mixup, options_.augment.cutmix, {buffer.pixels.data(), rows, split_.channels(), height_, width_});
  std::reverse_copy(buffer.labels.begin(), buffer.labels.begin() + rows, buffer.other_labels.begin());
}

}  // namespace aot
