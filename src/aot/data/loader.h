// SPDX-License-Identifier: Apache-2.0
// Batches of random windows, read ahead of their use.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "aot/data/token_dataset.h"

namespace aot {

struct BatchOptions {
  uint64_t seed = 0;
  int64_t first_step = 0;
  int64_t rows = 1;    // windows per step
  int64_t length = 2;  // tokens of a window: context + 1, inputs and targets being one token apart
};

/// Row i of step s is the window at window_start(seed, s, i, ...): a function of these alone, so that a resumed run goes on with the same
/// windows. One background thread reads up to two steps ahead and sleeps when that is done. `next` is for one thread.
class BatchLoader {
 public:
  /// Throws FileError when the file is shorter than one window. `file` must outlive the loader.
  BatchLoader(const TokenFile& file, const BatchOptions& options);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// The next step's tokens, `rows` x `length`, valid until the next call. Throws what the background thread met while reading.
  const int64_t* next();
  /// Bytes of memory that a loader's batches take; a double, since options may ask for any number.
  static double buffer_bytes(const BatchOptions& options);

 private:
  void work();
  void fill(int64_t step, std::vector<int64_t>& into) const;

  static constexpr int64_t kBuffers = 3;  // one in use, two ahead

  const TokenFile& file_;
  BatchOptions options_;
  std::vector<int64_t> buffers_[kBuffers];
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Step first_step + n uses buffer n mod kBuffers.
  int64_t filled_ = 0, taken_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace aot
