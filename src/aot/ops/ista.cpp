// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/ista.h"

#include <ATen/ops/relu.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/linear.h"

namespace aot {

at::Tensor ista_step(const at::Tensor& y, const at::Tensor& dictionary, const IstaOptions& options) {
  TORCH_CHECK_VALUE(dictionary.dim() == 2 && dictionary.size(0) == dictionary.size(1) && y.dim() >= 1 && y.size(-1) == dictionary.size(0),
                    "ista: y must be (..., D) and the dictionary (D, D), got ", y.sizes(), " and ", dictionary.sizes());
  const at::Tensor residual = y - linear_layer(y, dictionary);                   // y - D y
  const at::Tensor correlation = linear_layer_transposed(residual, dictionary);  // D^T (y - D y)
  return (y + correlation * options.step - options.step * options.threshold).relu();
}

}  // namespace aot
