// SPDX-License-Identifier: Apache-2.0
// One step of iterative shrinkage and thresholding towards a sparse code: what CRATE has in the place of an MLP.
#pragma once

#include <ATen/core/Tensor.h>

namespace aot {

struct IstaOptions {
  double step = 0.1;       // beta
  double threshold = 0.1;  // lambda
};

/// relu(y + beta (D^T y - D^T D y) - beta lambda), each token a y: a proximal gradient step from y itself on |y - D z|^2 / 2 + lambda |z|_1
/// over z >= 0.   [Yu et al. 2023, CRATE; beta = lambda = 0.1 as in the authors' code]
///   y (..., D);  dictionary (D, D);  returns (..., D).   Differentiable.   Cost: 2 products of D x D a token.
at::Tensor ista_step(const at::Tensor& y, const at::Tensor& dictionary, const IstaOptions& options = {});

}  // namespace aot
