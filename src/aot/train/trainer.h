// SPDX-License-Identifier: Apache-2.0
// One optimizer step: forward, backward, checks, clipping, update.
#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "aot/models/language.h"
#include "aot/train/optimizer.h"
#include "aot/train/options.h"

namespace aot {

/// One of a step's forward and backward passes: the rows of the step's batch that it is about.
struct Pass {
  int64_t first = 0, rows = 0;
  uint64_t dropout_seed = 0;
  bool recompute = false;  // layers keep their input only
};

/// Mean loss over the rows of a pass, differentiable.
using PassLoss = std::function<at::Tensor(const Pass&)>;

/// That of a language model on ids and targets (rows of all passes, T) int64. `input` carries what else the model is to know.
at::Tensor language_loss(const LanguageModel& model, const at::Tensor& ids, const at::Tensor& targets, const Pass& pass,
                         LanguageInput input = {});

struct StepResult {
  double loss = 0;           // mean over the step's batch, before the update
  double gradient_norm = 0;  // before clipping
  double lr = 0;
};

/// Trains the parameters of one model. Everything random in step s is a function of (seed, s), so a trainer whose weights, moments and step
/// are restored goes on as the one that made them.
class Trainer {
 public:
  /// `horizon` is the length of the schedule in steps.
  Trainer(const Parameters& parameters, const TrainOptions& options, uint64_t seed, int64_t horizon);

  /// Runs `loss` once for each of `accumulate` passes of `batch` rows, in order.
  /// Throws Error `non-finite: step N: ...` before anything is updated when loss or gradient holds a NaN or an infinity.
  StepResult step(const PassLoss& loss);

  /// Updates done.
  [[nodiscard]] int64_t steps() const { return optimizer_.steps(); }
  [[nodiscard]] Optimizer& optimizer() { return optimizer_; }

 private:
  TrainOptions options_;
  uint64_t seed_;
  int64_t horizon_;
  at::ScalarType dtype_;
  Optimizer optimizer_;
  bool unfinished_ = false;  // the last step was given up and left gradients
};

}  // namespace aot
