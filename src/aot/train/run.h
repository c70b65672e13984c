// SPDX-License-Identifier: Apache-2.0
// A training run from its settings to its last checkpoint (docs/train.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <c10/core/Device.h>

#include "aot/core/atomic.h"
#include "aot/io/json.h"
#include "aot/train/checkpoint.h"
#include "aot/train/settings.h"
#include "aot/train/task.h"

namespace aot {

/// A run about to start, or to go on when `resume` is set.
struct RunRequest {
  std::string folder;
  RunSettings settings;
  std::unique_ptr<FolderLock> lock;  // held already when going on
  std::optional<ResumePoint> resume;
  int64_t threads = 0;  // asked for; 0: those of the run when going on
  at::Device device = at::kCPU;
  std::function<void(const std::string& line)> on_row;  // gets each row of the metrics as a line of JSON
};

/// How a run ended, and its numbers.
struct RunSummary {
  std::string folder, checkpoint;               // the last one saved
  bool finished = false;                        // its budget is used up; false when stopped by --stop-after or a signal
  int64_t step = 0, units = 0, parameters = 0;  // units: tokens, or whatever the task counts
  uint64_t seed = 0;
  double seconds = 0;
  std::optional<double> loss;     // of the last step of this process
  double units_per_s = 0;         // of this process
  double data_wait = 0;           // share of its steps' time spent waiting for data
  std::optional<BestLoss> best;   // over the fixed windows
  std::optional<Evaluation> val;  // on all validation data, when finished
  std::string unit, counted;      // the task's words
};

Json summary_json(const RunSummary& summary);

/// The run that `--resume` means: a folder; or for `auto` the one of `--out`, or without `--out` the run below ./runs that was saved last.
/// Empty when `auto` finds a `--out` in which no run was started. Throws FileError (exit 3) when there is nothing to go on with.
std::string find_run(const std::string& resume, const std::string& out);

/// Locks a run and finds where to go on. Without any checkpoint yet the result has no `resume` and starts at step 0 from config.toml;
/// a run that has trained and lost its checkpoints is refused (exit 3).
RunRequest reopen_run(const std::string& folder);

/// Trains. Refuses, before anything is written, settings that do not fit the data, the memory or the disk.
RunSummary train(RunRequest request);

}  // namespace aot
