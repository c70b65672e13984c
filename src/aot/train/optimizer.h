// SPDX-License-Identifier: Apache-2.0
// AdamW and the norm of the gradient, over flat buffers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/core/parameters.h"

namespace aot {

struct AdamWOptions {
  double weight_decay = 0.1;  // on tensors of rank 2 and more
  double beta1 = 0.9;
  double beta2 = 0.99;
};

void describe(Fields& fields, AdamWOptions& options);

/// AdamW with decoupled decay.   [Loshchilov and Hutter 2019, Alg. 2; epsilon 1e-8]
///   m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2,
///   w <- w - lr weight_decay w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon),  decay for rank >= 2 only.
/// Values, gradients and both moments are four flat buffers, and the parameters become views into them: one pass reads the norm, another
/// clips, updates and sets the gradients to 0. On the CPU these are kernels of our own, elsewhere LibTorch's fused operator. The bits do
/// not depend on the number of threads.
class AdamW {
 public:
  /// Moves the parameters, float32 on one device, into a buffer and gives each a gradient of 0 that backward passes add to.
  AdamW(const Parameters& parameters, const AdamWOptions& options);

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
  /// "NAME.exp_avg" and "NAME.exp_avg_sq" for every parameter, in order; they share storage with the optimizer.
  [[nodiscard]] Parameters moments() const;
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

 private:
  struct Place {  // of a parameter: its numbers in the buffers of a group
    size_t group = 0;
    int64_t offset = 0;
  };
  struct Group {  // parameters with one decay, one after the other
    double weight_decay = 0;
    at::Tensor values, gradients, first, second;  // (n,) each
  };

  /// The part of one of a group's buffers that belongs to parameter i, in its shape.
  [[nodiscard]] at::Tensor view(size_t i, at::Tensor Group::*buffer) const;
  void check_views() const;

  Parameters parameters_;
  AdamWOptions options_;
  std::array<Group, 2> groups_;  // without and with decay
  std::vector<Place> places_;    // in the order of `parameters_`
  int64_t steps_ = 0;
};

}  // namespace aot
