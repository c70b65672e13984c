// SPDX-License-Identifier: Apache-2.0
// Gradients of weights written straight to where they are summed up.
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

/// While it lives, operators recorded by this thread that make a weight's gradient add it to the weight's `grad()` themselves and return
/// none: no tensor of the weight's size is made and added. For training steps; torch::autograd::grad would not see such gradients. Each
/// loss recorded must be taken backward once, with `loss_gradient`, since a loss may add its gradients as soon as it is computed.
class GradientsInPlace {
 public:
  explicit GradientsInPlace(double loss_gradient = 1);
  ~GradientsInPlace();
  GradientsInPlace(const GradientsInPlace&) = delete;
  GradientsInPlace& operator=(const GradientsInPlace&) = delete;

 private:
  double before_;
};

/// Whether an operator recorded now may add `weight`'s gradient to its `grad()`: in a GradientsInPlace, for a leaf that has a contiguous
/// gradient of its own type and no hook that wants to see gradients.
bool adds_gradient_in_place(const at::Tensor& weight);

/// What backward will be started with, by the GradientsInPlace in force; 0: there is none.
double loss_gradient_in_place();

}  // namespace aot
