// SPDX-License-Identifier: Apache-2.0
// The loop over steps: budgets, evaluations, samples, checkpoints, and the signals that end it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "aot/train/checkpoint.h"
#include "aot/train/metrics.h"
#include "aot/train/settings.h"
#include "aot/train/task.h"
#include "aot/train/trainer.h"

namespace aot {

/// What the loop works on. `state` is brought up to date with every checkpoint and at the end.
struct LoopParts {
  const std::string& folder;
  const RunSettings& settings;
  Task& task;
  Trainer& trainer;
  MetricsLog& log;
  TrainState& state;
  std::set<std::string> damaged;  // checkpoints that are not whole
};

struct LoopResult {
  bool finished = false;       // the budget is used up
  std::optional<double> loss;  // of the last step, if there was one
  double units_per_s = 0;
  double data_wait = 0;  // share of the steps' time that they waited for their batch
};

/// Trains from `state.step` to the end of the budget, `--stop-after`, or a signal, and saves there. Throws Error `non-finite: ...` naming
/// the last good checkpoint.
LoopResult train_loop(LoopParts parts);

}  // namespace aot
