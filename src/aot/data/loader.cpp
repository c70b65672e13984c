// SPDX-License-Identifier: Apache-2.0
#include "aot/data/loader.h"

#include "aot/core/signals.h"
#include "aot/io/error.h"

namespace aot {

BatchLoader::BatchLoader(const TokenFile& file, const BatchOptions& options) : file_(file), options_(options) {
  if (options.rows < 1 || options.length < 1)
    throw UsageError(str("batches need at least one row and one token (found ", options.rows, " rows of ", options.length, " tokens)"));
  if (file.tokens() < options.length)
    throw FileError(file.path(), "", str("has ", file.tokens(), " tokens, need at least ", options.length, " for one window"));
  for (std::vector<int64_t>& buffer : buffers_) buffer.resize(static_cast<size_t>(options.rows * options.length));
  const BlockedSignals blocked;
  thread_ = std::thread([this] { work(); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

double BatchLoader::buffer_bytes(const BatchOptions& options) {
  return kBuffers * sizeof(int64_t) * static_cast<double>(options.rows) * static_cast<double>(options.length);
}

const int64_t* BatchLoader::next() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return filled_ > taken_ || error_ != nullptr; });
  if (filled_ == taken_) std::rethrow_exception(error_);
  const std::vector<int64_t>& buffer = buffers_[taken_++ % kBuffers];
  lock.unlock();
  changed_.notify_all();
  return buffer.data();
}

void BatchLoader::work() {
  for (int64_t index = 0;; ++index) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      // The buffer of index - kBuffers + 1 and later ones may still be in the hands of the consumer.
      changed_.wait(lock, [this, index] { return stop_ || index < taken_ + kBuffers - 1; });
      if (stop_) return;
    }
    try {
      fill(options_.first_step + index, buffers_[index % kBuffers]);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_all();
      return;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    filled_ = index + 1;
    changed_.notify_all();
  }
}

void BatchLoader::fill(int64_t step, std::vector<int64_t>& into) const {
  for (int64_t row = 0; row < options_.rows; ++row)
    file_.read(window_start(options_.seed, step, row, file_.tokens(), options_.length), options_.length,
               into.data() + row * options_.length);
}

}  // namespace aot
