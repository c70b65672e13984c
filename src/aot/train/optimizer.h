// SPDX-License-Identifier: Apache-2.0
// AdamW and the clipping of gradients.
#pragma once

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

/// AdamW with decoupled decay, by LibTorch's fused operator.   [Loshchilov and Hutter 2019, Alg. 2; epsilon 1e-8]
///   m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2,
///   w <- w - lr weight_decay w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon),  decay for rank >= 2 only.
class AdamW {
 public:
  AdamW(const Parameters& parameters, const AdamWOptions& options);

  /// One update from the gradients, each divided by `gradient_divisor` on the way (1: as they are).
  /// REQUIRES: every parameter has a gradient.
  void update(double lr, double gradient_divisor = 1);
  /// Drops the gradients: the next backward pass then stores its own instead of adding to zeros.
  void drop_gradients();

  /// Updates done so far: t above.
  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  /// "NAME.exp_avg" and "NAME.exp_avg_sq" for every parameter, in order; they share storage with the optimizer.
  [[nodiscard]] Parameters moments() const;
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

 private:
  struct Group {  // tensors with one decay
    std::vector<at::Tensor> values, first, second;
    double weight_decay = 0;
  };

  Parameters parameters_;
  AdamWOptions options_;
  std::vector<Group> groups_;
  std::vector<at::Tensor> first_, second_;  // moments in the order of `parameters_`
  int64_t steps_ = 0;
};

/// Euclidean norm over all gradients of `parameters`, summed in double precision in blocks that do not depend on the thread count.
/// Not finite exactly when a gradient is not. A parameter without a gradient counts as zero.
double gradient_norm(const Parameters& parameters);

/// Name of the first parameter whose gradient holds a NaN or an infinity, or empty.
std::string first_non_finite_gradient(const Parameters& parameters);

}  // namespace aot
