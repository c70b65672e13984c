// SPDX-License-Identifier: Apache-2.0
// One optimizer step: forward, backward, checks, clipping, update.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "aot/models/language.h"
#include "aot/train/optimizer.h"
#include "aot/train/options.h"

namespace aot {

struct StepResult {
  double loss = 0;           // mean over the step's batch, before the update
  double gradient_norm = 0;  // before clipping
  double lr = 0;
};

/// Trains one model. Everything random in step s is a function of (seed, s), so a trainer whose weights, moments and step are restored goes
/// on as the one that made them.
class Trainer {
 public:
  /// `model` must outlive the trainer. `horizon` is the length of the schedule in steps.
  Trainer(const LanguageModel& model, const TrainOptions& options, uint64_t seed, int64_t horizon);

  /// ids, targets (accumulate * batch, T) int64: the passes take `batch` rows each, in order. `input` carries what else the model is to
  /// know; training and dropout are set here.
  /// Throws Error `non-finite: step N: ...` before anything is updated when loss or gradient holds a NaN or an infinity.
  StepResult step(const at::Tensor& ids, const at::Tensor& targets, LanguageInput input = {});

  /// Updates done.
  [[nodiscard]] int64_t steps() const { return optimizer_.steps(); }
  [[nodiscard]] AdamW& optimizer() { return optimizer_; }

 private:
  const LanguageModel& model_;
  TrainOptions options_;
  uint64_t seed_;
  int64_t horizon_;
  at::ScalarType dtype_;
  AdamW optimizer_;
  bool unfinished_ = false;  // the last step was given up and left gradients
};

}  // namespace aot
