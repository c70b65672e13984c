// SPDX-License-Identifier: Apache-2.0
// The optimizer: weights, gradients, moments and averages as flat buffers, and the norm of the gradient.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/core/parameters.h"
#include "aot/train/update_rule.h"

namespace aot {

struct OptimizerOptions {
  UpdateRule rule = UpdateRule::adamw;
  double weight_decay = 0.1;  // on tensors of rank 2 and more
  double beta1 = 0.9;
  double beta2 = 0.99;
  double layer_decay = 1;  // from layer to layer downwards; 1: one rate for all
  double ema = 0;          // decay of the weights' average; 0: none is kept
};

void describe(Fields& fields, OptimizerOptions& options);

/// float32 numbers that a checkpoint and the memory hold for each parameter besides its value and gradient: the moments, and one more value
/// where an average is kept.
int64_t state_per_parameter(const OptimizerOptions& options);

/// What the rate of each parameter is multiplied by: layer_decay^(L - l) in layer l = 0 .. L - 1 ("layers.l.*"), ^(L + 1) in what stands
/// before the layers (a tied head is the embedding), 1 in what comes after. 1 for all where nothing is a layer.   [Bao et al. 2022; timm]
std::vector<double> layer_scales(const Parameters& parameters, double layer_decay);

/// One rule over all parameters, decay on tensors of rank 2 and more only.
/// Values, gradients, moments and averages are flat buffers, one set for parameters with the same decay and rate, and the parameters become
/// views into them: one pass reads the norm, another clips, updates, averages and sets the gradients to 0.
///
/// Average of the weights: a <- d a + (1 - d) w after update t = 1, 2, ..., d = min(ema, (1 + t) / (10 + t)), from a = w at the start.
/// The warm-up keeps the start out of the average of a short run.
class Optimizer {
 public:
  /// Moves the parameters, float32 on one device, into buffers and gives each a gradient of 0 that backward passes add to.
  Optimizer(const Parameters& parameters, const OptimizerOptions& options);

  /// One update from the gradients, each divided by `gradient_divisor` on the way (1: as they are), which are 0 afterwards.
  /// REQUIRES: nobody gave a parameter another gradient tensor or other storage meanwhile; checked.
  void update(double lr, double gradient_divisor = 1);
  /// Sets the gradients to 0 where a step did not come to its update.
  void zero_gradients();
  /// Euclidean norm over all gradients, summed in double precision in blocks that do not depend on the thread count. Not finite exactly
  /// when a gradient is not.
  [[nodiscard]] double gradient_norm() const;
  /// Name of the first parameter whose gradient holds a NaN or an infinity, or empty.
  [[nodiscard]] std::string first_non_finite_gradient() const;

  /// Updates done so far: t above.
  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  [[nodiscard]] UpdateRule rule() const { return options_.rule; }
  /// What going on needs besides the saved model, for every parameter in order: "NAME.exp_avg", AdamW's "NAME.exp_avg_sq", and where an
  /// average is kept, which then is the saved model, "NAME.raw": the weights themselves. They share storage with the optimizer.
  [[nodiscard]] Parameters state() const;
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

 private:
  friend class AveragedWeights;

  struct Place {  // of a parameter: its numbers in the buffers of a group
    size_t group = 0;
    int64_t offset = 0;
  };
  struct Group {  // parameters updated alike, one after the other
    double weight_decay = 0, lr_scale = 1;
    int64_t size = 0;
    UpdateBuffers buffers;
  };

  /// The part of one of a group's buffers that belongs to parameter i, in its shape.
  [[nodiscard]] at::Tensor view(size_t i, at::Tensor UpdateBuffers::*buffer) const;
  void check_views() const;

  Parameters parameters_;
  OptimizerOptions options_;
  std::vector<Group> groups_;
  std::vector<Place> places_;  // in the order of `parameters_`
  int64_t steps_ = 0;
  bool averaged_ = false;  // an AveragedWeights lives
};

/// While it lives, the parameters are their averages: what evaluations and saved models take. Nothing happens where no average is kept, or
/// inside another one. The optimizer refuses to update meanwhile.
class AveragedWeights {
 public:
  explicit AveragedWeights(Optimizer& optimizer);
  ~AveragedWeights();
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  void put(at::Tensor UpdateBuffers::*buffer) const;

  Optimizer& optimizer_;
  bool active_;
};

}  // namespace aot
