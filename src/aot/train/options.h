// SPDX-License-Identifier: Apache-2.0
// Settings of a training run. The defaults are the published ones of docs/results.md at small scale (docs/train.md).
#pragma once

#include <cstdint>
#include <string>

#include "aot/core/options.h"
#include "aot/train/optimizer.h"
#include "aot/train/schedule.h"

namespace aot {

enum class OnSaveError { go_on, stop };

struct TrainOptions {
  std::string task = "language";  // a name of aot/train/task.h
  std::string preset;             // a name of aot/models/presets.h
  std::string data;               // prepared text or images
  std::string tokenizer;          // of a bare .bin
  std::string init_from;          // checkpoint whose weights the run starts from

  int64_t steps = 2000;
  int64_t batch = 12;      // sequences or images in one forward and backward pass
  int64_t accumulate = 1;  // passes in one step
  ScheduleOptions schedule;
  OptimizerOptions optimizer;
  double clip = 1;  // largest global norm of the gradient; 0: any
  std::string dtype = "float32";
  bool recompute = false;
  int64_t seed = -1;

  double max_minutes = 0;  // training time of the whole run; 0: any
  int64_t max_tokens = 0;  // 0: any
  int64_t stop_after = 0;  // 0: not before the end

  int64_t log_every = 10;
  int64_t eval_every = 250;    // 0: only at the end
  int64_t eval_windows = 200;  // the fixed ones of evaluations on the way
  int64_t save_every = 250;    // 0: only at the end
  int64_t keep = 2;            // newest whole checkpoints
  int64_t sample_every = 0;    // 0: never
  OnSaveError on_save_error = OnSaveError::go_on;
};

/// Those that every task has. `seed` has no flag of its own: it is one of the command's general flags.
void describe(Fields& fields, TrainOptions& options);

/// Throws UsageError, with both numbers, when settings do not fit together. `horizon`: steps of the schedule, see planned_steps.
void check(const TrainOptions& options, int64_t horizon);

/// Steps of this run when no clock ends it: `steps`, or fewer when `max_tokens` ends it before.
int64_t planned_steps(const TrainOptions& options, int64_t tokens_per_step);

}  // namespace aot
